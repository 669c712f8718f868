{{/* "true" with mTLS, else nothing. */}}
{{- define "meeting-control.mtls" -}}
{{- if and .Values.tls.enabled (or .Values.tls.clientCa.enabled .Values.config.tlsClientCa) }}true{{ end -}}
{{- end }}

{{/* The Secret with the server's certificate, or nothing where it comes some other way. */}}
{{- define "meeting-control.tlsSecret" -}}
{{- with .Values.tls -}}
{{- if .enabled -}}
{{- if .secretName }}{{ .secretName }}{{ else if .certManager.enabled }}{{ include "meeting-control.suffixed" (list $ "tls") }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* "true" where the roots of client certificates come from `tls.clientCa`, else nothing. */}}
{{- define "meeting-control.clientCaMounted" -}}
{{- with .Values.tls.clientCa -}}
{{- if and .enabled (or .secretName .configMapName) }}true{{ end -}}
{{- end -}}
{{- end }}

{{/* The port of an address such as 0.0.0.0:50051 or [::]:50051. */}}
{{- define "meeting-control.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end }}

{{/* The port of a URL: the one that it names, or the one of its scheme. */}}
{{- define "meeting-control.urlPort" -}}
{{- /* Not every parser takes a reference between brackets. */}}
{{- $url := regexReplaceAll "\\[?\\$\\(HOST_IP\\)\\]?" . "host" | urlParse -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}

{{/* Whether a URL's host is this machine, as the program sees it: "true" or nothing. */}}
{{- define "meeting-control.isLoopback" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (urlParse .).host "" -}}
{{- if regexMatch "^(localhost|127\\.[0-9.]+|\\[::1\\])$" $host }}true{{ end -}}
{{- end }}

{{/* The proxy that calls to the upstream take, or nothing. */}}
{{- define "meeting-control.upstreamProxy" -}}
{{- $url := urlParse .Values.config.upstream -}}
{{- $host := regexReplaceAll ":[0-9]+$" $url.host "" | trimAll "[]" -}}
{{- $proxy := ternary .Values.proxy.httpProxy .Values.proxy.httpsProxy (eq $url.scheme "http") -}}
{{- range splitList "," .Values.proxy.noProxy -}}
{{- $name := trim . | trimPrefix "." | trimAll "[]" -}}
{{- if and $name (or (eq $name "*" $host) (hasSuffix (printf ".%s" $name) $host)) -}}
{{- $proxy = "" -}}
{{- end -}}
{{- end -}}
{{- $proxy -}}
{{- end }}

{{/* A duration such as 250ms or 1m 30s, in milliseconds. */}}
{{- define "meeting-control.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{/* A quantity such as 512Mi, in bytes; nothing where it is written in another way. */}}
{{- define "meeting-control.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 -}}
{{- if regexMatch "^[0-9]+(k|M|G|Ki|Mi|Gi)?$" . -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[kMGi]*$" .)) -}}
{{- end -}}
{{- end }}

{{/* The memory in `requests` or `limits` of `resources`: list of root and one of the two. A number comes without an exponent. */}}
{{- define "meeting-control.memory" -}}
{{- $memory := dig (last .) "memory" "" ((first .).Values.resources | default dict) -}}
{{- if kindIs "float64" $memory }}{{ int64 $memory }}{{ else }}{{ $memory }}{{ end -}}
{{- end }}

{{/* Seconds that a pod takes to stop, at most: the preStop sleep, the drain delay and the drain timeout. */}}
{{- define "meeting-control.stopSeconds" -}}
{{- $delay := include "meeting-control.milliseconds" .Values.config.drainDelay | int64 -}}
{{- $timeout := include "meeting-control.milliseconds" .Values.config.drainTimeout | int64 -}}
{{- $sleep := (((.Values.lifecycle).preStop).sleep).seconds | int64 -}}
{{- add $sleep (div (add $delay $timeout 999) 1000) -}}
{{- end }}

{{/* The grace period. Five seconds more than the drain, in which the last spans are exported. */}}
{{- define "meeting-control.gracePeriod" -}}
{{- .Values.terminationGracePeriodSeconds | default (add 5 (include "meeting-control.stopSeconds" .)) | int64 -}}
{{- end }}

{{/*
`config`, with paths of the files that the chart mounts where none are given. A path in `config` wins.
*/}}
{{- define "meeting-control.config" -}}
{{- $tls := .Values.tls -}}
{{- $paths := dict -}}
{{- if include "meeting-control.tlsSecret" . -}}
{{- $_ := set $paths "tlsCert" (printf "/etc/meeting-control/tls/%s" $tls.certKey) -}}
{{- $_ := set $paths "tlsKey" (printf "/etc/meeting-control/tls/%s" $tls.keyKey) -}}
{{- end -}}
{{- if include "meeting-control.clientCaMounted" . -}}
{{- $_ := set $paths "tlsClientCa" (printf "/etc/meeting-control/client-ca/%s" $tls.clientCa.key) -}}
{{- end -}}
{{- with .Values.upstreamCa -}}
{{- if or .secretName .configMapName -}}
{{- $_ := set $paths "upstreamCa" (printf "/etc/meeting-control/upstream-ca/%s" .key) -}}
{{- end -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- range $key, $path := $paths -}}
{{- $_ := set $config $key (get $config $key | default $path) -}}
{{- end -}}
{{- ternary (omit $config "upstream" "allowPlaintextUpstream") $config .Values.sandbox.enabled | toYaml -}}
{{- end }}

{{/*
The variables in the ConfigMap, as a map: each key of `config` under the name of its flag, and what follows from other
values. An empty one is left out, so that the program's own default holds, and so is one that the user sets.
*/}}
{{- define "meeting-control.settings" -}}
{{- $variables := dict -}}
{{- range $key, $value := include "meeting-control.config" . | fromYaml -}}
{{- if kindIs "slice" $value -}}
{{- $value = join "," $value -}}
{{- else if kindIs "float64" $value -}}
{{- /* Else 1000000 would be 1e+06. */}}
{{- $value = int64 $value -}}
{{- end -}}
{{- $_ := set $variables (printf "MEETING_CONTROL_%s" (snakecase $key | upper)) (toString $value) -}}
{{- end -}}

{{- if .Values.sandbox.enabled -}}
{{- /* The one token that every sandbox takes, so it is no secret. With the address, a call from within the pod needs nothing else. */}}
{{- $_ := set $variables "MEETING_CONTROL_TOKEN" (printf "cnr%s" (repeat 48 "0")) -}}
{{- $port := include "meeting-control.port" .Values.config.listen -}}
{{- $_ := set $variables "MEETING_CONTROL_ADDRESS" (ternary "" (printf "http://127.0.0.1:%s" $port) .Values.tls.enabled) -}}
{{- else -}}
{{- range $key, $value := .Values.proxy -}}
{{- $_ := set $variables (snakecase $key | upper) $value -}}
{{- end -}}
{{- end -}}

{{- $variables = merge (deepCopy (.Values.otel.env | default dict)) $variables -}}
{{- with .Values.otel.endpoint -}}
{{- /* With an address that only the pod knows, it is in the container's own list. */}}
{{- $_ := set $variables "OTEL_EXPORTER_OTLP_ENDPOINT" (ternary "" . (contains "$(HOST_IP)" .)) -}}
{{- $_ := set $variables "OTEL_SERVICE_NAME" ($.Values.otel.serviceName | default "meeting-control") -}}
{{- end -}}

{{- $users := include "meeting-control.extraEnvNames" . | fromYamlArray -}}
{{- range $name, $value := deepCopy $variables -}}
{{- if or (eq $value "") (has $name $users) -}}
{{- $variables = omit $variables $name -}}
{{- end -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end }}

{{/* Names of variables that the user sets. None may occur twice: the API server would refuse it. */}}
{{- define "meeting-control.extraEnvNames" -}}
{{- range include "meeting-control.tpl" (list . (.Values.extraEnv | default list)) | fromYamlArray }}
- {{ .name | quote }}
{{- end }}
{{- end }}

{{/* The container's `env`: what only the pod knows, and the user's variables. A list, or nothing. */}}
{{- define "meeting-control.env" -}}
{{- $users := include "meeting-control.extraEnvNames" . | fromYamlArray -}}
{{- $env := list -}}
{{- if and .Values.otel.endpoint (not (hasKey (.Values.otel.env | default dict) "OTEL_RESOURCE_ATTRIBUTES")) (not (has "OTEL_RESOURCE_ATTRIBUTES" $users)) -}}
{{- if not (has "K8S_POD_NAME" $users) -}}
{{- $env = append $env (dict "name" "K8S_POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
{{- end -}}
{{- $attributes := printf "k8s.namespace.name=%s,k8s.pod.name=$(K8S_POD_NAME)" .Release.Namespace -}}
{{- $env = append $env (dict "name" "OTEL_RESOURCE_ATTRIBUTES" "value" $attributes) -}}
{{- end -}}
{{- $env = concat $env (.Values.extraEnv | default list) -}}
{{- if and (contains "$(HOST_IP)" .Values.otel.endpoint) (not (has "OTEL_EXPORTER_OTLP_ENDPOINT" $users)) -}}
{{- /* Only a variable further up is put in. */}}
{{- if not (has "HOST_IP" $users) -}}
{{- $env = append $env (dict "name" "HOST_IP" "valueFrom" (dict "fieldRef" (dict "fieldPath" "status.hostIP"))) -}}
{{- end -}}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .Values.otel.endpoint) -}}
{{- end -}}
{{- with $env -}}
{{- include "meeting-control.tpl" (list $ .) -}}
{{- end -}}
{{- end }}
