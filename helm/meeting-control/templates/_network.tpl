{{/* Ports of the upstream, or of the proxy before it: a list. The sandbox calls nobody. */}}
{{- define "meeting-control.upstreamPorts" -}}
{{- if .Values.sandbox.enabled -}}
[]
{{- else if .Values.networkPolicy.egress.upstreamPorts -}}
{{- toYaml .Values.networkPolicy.egress.upstreamPorts -}}
{{- else -}}
{{- $ports := list (include "meeting-control.urlPort" (include "meeting-control.upstreamProxy" . | default .Values.config.upstream)) -}}
{{- /* Whether an address is in a network of noProxy is not worked out here, so both ways are open then. */}}
{{- if and (contains "/" .Values.proxy.noProxy) (regexMatch "^([0-9.]+|\\[.*\\])(:[0-9]+)?$" (urlParse .Values.config.upstream).host) -}}
{{- $ports = append $ports (include "meeting-control.urlPort" .Values.config.upstream) -}}
{{- end -}}
{{- range uniq $ports }}
- {{ . }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Ports of the name service, over UDP and TCP: a list, or nothing. Policies see the pods' ports, and OpenShift's listen on 5353. */}}
{{- define "meeting-control.dnsPorts" -}}
{{- $ports := .Values.networkPolicy.egress.dnsPorts | default list -}}
{{- if and $ports (include "meeting-control.openshift" .) -}}
{{- $ports = append $ports 5353 -}}
{{- end -}}
{{- range $ports | toStrings | uniq }}
- port: {{ . }}
  protocol: UDP
- port: {{ . }}
  protocol: TCP
{{- end -}}
{{- end }}

{{/* Where pods may call: a list of rules, or nothing. */}}
{{- define "meeting-control.egress" -}}
{{- $egress := .Values.networkPolicy.egress -}}
{{- with include "meeting-control.dnsPorts" . }}
- ports:
    {{- . | trim | nindent 4 }}
  {{- with $egress.dnsTo }}
  to:
    {{- include "meeting-control.tpl" (list $ .) | nindent 4 }}
  {{- end }}
{{- end }}
{{- with include "meeting-control.upstreamPorts" . | fromYamlArray }}
- ports:
    {{- range . }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $egress.upstreamTo }}
  to:
    {{- include "meeting-control.tpl" (list $ .) | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .Values.otel.endpoint }}
- ports:
    - port: {{ include "meeting-control.urlPort" . }}
      protocol: TCP
  {{- with $egress.otelTo }}
  to:
    {{- include "meeting-control.tpl" (list $ .) | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $egress.extra }}
{{ include "meeting-control.tpl" (list $ .) }}
{{- end }}
{{- end }}

{{/* The fewest pods that there may be by intention. */}}
{{- define "meeting-control.fewestPods" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- end }}

{{/* "true" where test pods can do their work: under mTLS they need a certificate. */}}
{{- define "meeting-control.testsRendered" -}}
{{- if and .Values.tests.enabled (or (not (include "meeting-control.mtls" .)) .Values.tests.clientCertSecret) }}true{{ end -}}
{{- end }}
