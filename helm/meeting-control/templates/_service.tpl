{{/* The protocol for gateways and meshes. kubernetes.io/h2c is HTTP/2 in plaintext, so under TLS it would be wrong. */}}
{{- define "meeting-control.appProtocol" -}}
{{- if not (and .Values.tls.enabled (eq .Values.service.appProtocol "kubernetes.io/h2c")) -}}
{{- .Values.service.appProtocol -}}
{{- end -}}
{{- end }}

{{/* From Kubernetes 1.31 on; until 1.34 the API server takes PreferClose alone, which all of them come down to. */}}
{{- define "meeting-control.trafficDistribution" -}}
{{- with .Values.service.trafficDistribution -}}
{{- if semverCompare ">=1.34.0-0" $.Capabilities.KubeVersion.Version -}}
{{- . -}}
{{- else if semverCompare ">=1.31.0-0" $.Capabilities.KubeVersion.Version -}}
PreferClose
{{- end -}}
{{- end -}}
{{- end }}
