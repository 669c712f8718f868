{{/* The names in the certificate: of both Services, short and long, and the user's own. A list. */}}
{{- define "meeting-control.dnsNames" -}}
{{- $names := list -}}
{{- if .Values.tls.certManager.serviceNames -}}
{{- $services := list (include "meeting-control.fullname" .) -}}
{{- if .Values.headlessService.enabled -}}
{{- $services = append $services (include "meeting-control.headlessName" .) -}}
{{- end -}}
{{- range $service := $services -}}
{{- range $domain := list "" (printf ".%s" $.Release.Namespace) (printf ".%s.svc" $.Release.Namespace) (printf ".%s.svc.%s" $.Release.Namespace $.Values.clusterDomain) -}}
{{- $names = append $names (printf "%s%s" $service $domain) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.tls.certManager.extraDnsNames -}}
{{- $names = append $names (tpl . $) -}}
{{- end -}}
{{- uniq $names | toYaml -}}
{{- end }}
