{{/*
"true" where a monitor is wanted: dict with `root`, `monitor` (its values) and `name` (its key). A PodMonitor takes the
place of the ServiceMonitor, or each pod would be read twice. A sandbox, which comes and goes, wakes nobody unasked.
*/}}
{{- define "meeting-control.monitorWanted" -}}
{{- $replaced := and (eq .name "serviceMonitor") .root.Values.metrics.podMonitor.enabled -}}
{{- $unasked := and (eq .name "prometheusRule") .root.Values.sandbox.enabled (ne .monitor.renderMode "alwaysRender") -}}
{{- if and .monitor.enabled (not $replaced) (not $unasked) }}true{{ end -}}
{{- end }}

{{/* What a monitor needs and has not got, in words: a dict as above. */}}
{{- define "meeting-control.monitorLacks" -}}
{{- $metrics := .root.Values.metrics -}}
{{- if and (eq .name "serviceMonitor") (not .root.Values.headlessService.enabled) -}}
headlessService.enabled; metrics.podMonitor does without
{{- else if and (eq .name "prometheusRule") (not .monitor.selector) -}}
{{- $service := include "meeting-control.monitorRendered" (dict "root" .root "monitor" $metrics.serviceMonitor "name" "serviceMonitor" "kind" "ServiceMonitor") -}}
{{- $pod := include "meeting-control.monitorRendered" (dict "root" .root "monitor" $metrics.podMonitor "name" "podMonitor" "kind" "PodMonitor") -}}
{{- if not (or $service $pod) -}}
a monitor that is rendered, or metrics.prometheusRule.selector for pods that are read in another way
{{- end -}}
{{- end -}}
{{- end }}

{{/*
"true" where a monitor is to be rendered: as above, and with `kind`. With `skipIfMissing`, one that lacks what it needs is
left out as well, unless rules of the user's would be lost with it; the notes say so.
*/}}
{{- define "meeting-control.monitorRendered" -}}
{{- $known := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}
{{- $optional := and (eq .monitor.renderMode "skipIfMissing") (not .monitor.additionalRules) (not .monitor.additionalGroups) -}}
{{- if and (include "meeting-control.monitorWanted" .) (not (and $optional (include "meeting-control.monitorLacks" .))) -}}
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
