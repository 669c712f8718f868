{{/*
"true" where a monitor is wanted: dict with `root`, `monitor` (its values) and `name` (its key). A PodMonitor takes the
place of the ServiceMonitor, or each pod would be read twice.
*/}}
{{- define "meeting-control.monitorWanted" -}}
{{- $replaced := and (eq .name "serviceMonitor") .root.Values.metrics.podMonitor.enabled -}}
{{- if and .monitor.enabled (not $replaced) }}true{{ end -}}
{{- end }}

{{/* "true" where a monitor is to be rendered: as above, and with `kind`. */}}
{{- define "meeting-control.monitorRendered" -}}
{{- $known := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}
{{- if include "meeting-control.monitorWanted" . -}}
{{- if or $known (eq .monitor.renderMode "alwaysRender") -}}
true
{{- else if eq .monitor.renderMode "failIfMissing" -}}
{{- fail (printf "metrics.%s.renderMode is failIfMissing, and the cluster has no monitoring.coreos.com/v1/%s." .name .kind) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What is read, and how: dict with `root` and `monitor`. */}}
{{- define "meeting-control.scrape" -}}
port: admin
path: /metrics
{{- with .monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
relabelings:
  # The same job for both kinds of monitor: alerts and dashboard read it.
  - action: replace
    targetLabel: job
    replacement: {{ include "meeting-control.fullname" .root }}
  {{- with .monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
