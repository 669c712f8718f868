{{/*
Settings that contradict each other, each told in one sentence. All are told at once, as the façade does with a bad request.
What one value alone can tell is in values.schema.json.
*/}}
{{- define "meeting-control.checks" -}}
{{- $faults := list -}}
{{- range list "names" "limits" "tls" "upstream" "pods" "scaling" "network" "monitoring" -}}
{{- $faults = concat $faults (include (printf "meeting-control.checks.%s" .) $ | fromYamlArray) -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n%s" (join "\n" $faults)) -}}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.names" -}}
{{- $name := include "meeting-control.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $name) }}
- {{ printf "The name %s does not begin with a letter, as a Service's must; set fullnameOverride." $name | quote }}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.limits" -}}
{{- $config := .Values.config -}}
{{- $ms := dict -}}
{{- range $key := list "timeout" "attemptTimeout" "connectTimeout" "drainDelay" "drainTimeout" "maxConnectionAge" "maxConnectionAgeGrace" -}}
{{- $_ := set $ms $key (include "meeting-control.milliseconds" (get $config $key) | int64) -}}
{{- if gt (get $ms $key) 86400000 }}
- {{ printf "config.%s (%s) is above 24h." $key (get $config $key) | quote }}
{{- end }}
{{- end -}}
{{- if gt $ms.attemptTimeout $ms.timeout }}
- {{ printf "config.attemptTimeout (%s) is longer than config.timeout (%s), which holds all attempts of a call." $config.attemptTimeout $config.timeout | quote }}
{{- end }}
{{- if gt $ms.connectTimeout $ms.attemptTimeout }}
- {{ printf "config.connectTimeout (%s) is longer than config.attemptTimeout (%s), of which it is a part." $config.connectTimeout $config.attemptTimeout | quote }}
{{- end }}
{{- with .Values.terminationGracePeriodSeconds }}
{{- $least := include "meeting-control.stopSeconds" $ }}
{{- if le (int64 .) (int64 $least) }}
- {{ printf "terminationGracePeriodSeconds (%v) is not above the %s s that the preStop sleep, config.drainDelay and config.drainTimeout take, so open calls would be cut." . $least | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.tls" -}}
{{- $tls := .Values.tls -}}
{{- $config := .Values.config -}}
{{- if not $tls.enabled }}
{{- range list "tlsCert" "tlsKey" "tlsClientCa" "tlsClientAllow" }}
{{- if get $config . }}
- {{ printf "config.%s needs tls.enabled." . | quote }}
{{- end }}
{{- end }}
{{- if $tls.clientCa.enabled }}
- tls.clientCa.enabled needs tls.enabled.
{{- end }}
{{- if $tls.certManager.enabled }}
- tls.certManager.enabled needs tls.enabled.
{{- end }}
{{- else }}
{{- if ne (empty $config.tlsCert) (empty $config.tlsKey) }}
- config.tlsCert and config.tlsKey belong together; give both or neither.
{{- end }}
{{- if not (or $tls.secretName $tls.certManager.enabled $config.tlsCert) }}
- tls.enabled needs a certificate; set tls.secretName, tls.certManager.enabled, or config.tlsCert and config.tlsKey.
{{- end }}
{{- if and $config.tlsClientAllow (not (include "meeting-control.mtls" .)) }}
- config.tlsClientAllow needs client certificates; set tls.clientCa.enabled.
{{- end }}
{{- if and $config.tlsCert .Values.tests.enabled (not (or (include "meeting-control.tlsSecret" .) .Values.tests.ca.secretName .Values.tests.ca.configMapName .Values.tests.ca.system)) }}
- With config.tlsCert the tests know no root to trust; set tests.ca.secretName, tests.ca.configMapName, tests.ca.system, or tests.enabled to false.
{{- end }}
{{- end }}
{{- with $tls.clientCa }}
{{- if .enabled }}
{{- if not (or .secretName .configMapName $config.tlsClientCa) }}
- tls.clientCa.enabled needs roots; set tls.clientCa.secretName or tls.clientCa.configMapName.
{{- end }}
{{- if and .secretName .configMapName }}
- tls.clientCa.secretName and tls.clientCa.configMapName exclude each other.
{{- end }}
{{- end }}
{{- end }}
{{- with $tls.certManager }}
{{- if .enabled }}
{{- if not .issuerRef.name }}
- tls.certManager.enabled needs tls.certManager.issuerRef.name.
{{- end }}
{{- if not (or .serviceNames .extraDnsNames) }}
- A certificate needs a name; set tls.certManager.serviceNames or tls.certManager.extraDnsNames.
{{- else if not (or .serviceNames $.Values.tests.host (not $.Values.tests.enabled)) }}
- Without tls.certManager.serviceNames the tests call a name that the certificate lacks; set tests.host (and tests.ca.system for a public issuer), or tests.enabled to false.
{{- end }}
{{- if ge (include "meeting-control.milliseconds" .renewBefore | int64) (include "meeting-control.milliseconds" .duration | int64) }}
- {{ printf "tls.certManager.renewBefore (%s) is not below tls.certManager.duration (%s)." .renewBefore .duration | quote }}
{{- end }}
{{- with .privateKey }}
{{- if and (eq (.algorithm | default "RSA") "RSA") .size (lt (int .size) 2048) }}
- {{ printf "tls.certManager.privateKey.size (%v) is below the 2048 that an RSA key needs." .size | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.tests.ca }}
{{- if and .secretName .configMapName }}
- tests.ca.secretName and tests.ca.configMapName exclude each other.
{{- end }}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.upstream" -}}
{{- $config := .Values.config -}}
{{- with .Values.upstreamCa }}
{{- if and .secretName .configMapName }}
- upstreamCa.secretName and upstreamCa.configMapName exclude each other.
{{- end }}
{{- if and $.Values.sandbox.enabled (or $config.upstreamCa .secretName .configMapName) }}
- sandbox.enabled leaves no use for upstreamCa and config.upstreamCa, as the stand-in speaks plain HTTP within the pod.
{{- end }}
{{- end }}
{{- if and (hasPrefix "http:" $config.upstream) (not $config.allowPlaintextUpstream) (not .Values.sandbox.enabled) (not (include "meeting-control.isLoopback" $config.upstream)) }}
- {{ printf "config.upstream is %s, which would send tokens and passwords in clear; use https:// or set config.allowPlaintextUpstream." $config.upstream | quote }}
{{- end }}
{{- range $name, $value := .Values.otel.env }}
{{- if hasSuffix "_ENDPOINT" $name }}
- {{ printf "otel.env has %s, and the NetworkPolicy goes by otel.endpoint; set that." $name | quote }}
{{- end }}
{{- if eq $name "OTEL_SERVICE_NAME" }}
- otel.env has OTEL_SERVICE_NAME; set otel.serviceName.
{{- end }}
{{- end }}
{{- range $key := list "httpsProxy" "httpProxy" }}
{{- if contains "@" (get $.Values.proxy $key) }}
- {{ printf "proxy.%s holds a password, which a ConfigMap would show; set %s through extraEnv, from a Secret." $key (snakecase $key | upper) | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.pods" -}}
{{- $seen := list -}}
{{- range include "meeting-control.extraEnvNames" . | fromYamlArray }}
{{- if has . $seen }}
- {{ printf "extraEnv has %s twice." . | quote }}
{{- end }}
{{- if and (hasPrefix "MEETING_CONTROL_" .) (has (trimPrefix "MEETING_CONTROL_" .) (list "LISTEN" "ADMIN_LISTEN" "UPSTREAM" "TLS_CERT" "TLS_KEY" "TLS_CLIENT_CA" "DRAIN_DELAY" "DRAIN_TIMEOUT" "MAX_IN_FLIGHT")) }}
- {{ printf "extraEnv has %s, from which other parts of the chart follow; set config.%s." . (trimPrefix "MEETING_CONTROL_" . | lower | camelcase | untitle) | quote }}
{{- end }}
{{- $seen = append $seen . }}
{{- end -}}
{{- $seen = list -}}
{{- range include "meeting-control.volumes" . | fromYamlArray }}
{{- if has .name $seen }}
- {{ printf "extraVolumes has %s, a name that is taken." .name | quote }}
{{- end }}
{{- $seen = append $seen .name }}
{{- end -}}
{{- $seen = list -}}
{{- range include "meeting-control.volumeMounts" . | fromYamlArray }}
{{- $path := .mountPath | default "" | trimSuffix "/" }}
{{- if has $path $seen }}
- {{ printf "extraVolumeMounts has %s, a path that is taken." $path | quote }}
{{- end }}
{{- $seen = append $seen $path }}
{{- end -}}
{{- $seen = list "meeting-control" -}}
{{- range include "meeting-control.tpl" (list $ (concat (.Values.initContainers | default list) (.Values.extraContainers | default list))) | fromYamlArray }}
{{- if has .name $seen }}
- {{ printf "initContainers and extraContainers have %s, a name that is taken." .name | quote }}
{{- end }}
{{- $seen = append $seen .name }}
{{- end -}}
{{- $seen = list -}}
{{- range include "meeting-control.topologySpreadConstraints" . | fromYamlArray }}
{{- $key := printf "%s with %s" .topologyKey .whenUnsatisfiable }}
{{- if has $key $seen }}
- {{ printf "topologySpreadConstraints has %s twice." $key | quote }}
{{- end }}
{{- $seen = append $seen $key }}
{{- end -}}
{{- $seen = list -}}
{{- range .Values.hostAliases }}
{{- if has .ip $seen }}
- {{ printf "hostAliases has %s twice; give its names together." .ip | quote }}
{{- end }}
{{- $seen = append $seen .ip }}
{{- end -}}
{{- with .Values.image }}
{{- if and (contains ":" .repository) (or .registry ($.Values.global).imageRegistry) }}
- {{ printf "image.repository is %s, which names a registry, beside image.registry or global.imageRegistry." .repository | quote }}
{{- end }}
{{- end -}}
{{- $request := include "meeting-control.memory" (list . "requests") -}}
{{- $limit := include "meeting-control.memory" (list . "limits") -}}
{{- if gt (include "meeting-control.bytes" $request | int64) (include "meeting-control.bytes" $limit | default (printf "%d" 9223372036854775807) | int64) }}
- {{ printf "resources.requests.memory is %s, above resources.limits.memory, which is %s." $request $limit | quote }}
{{- end -}}
{{- with .Values.strategy }}
{{- $rolling := .rollingUpdate | default dict }}
{{- if and (ne .type "Recreate") (has (toString $rolling.maxSurge) (list "0" "0%")) (has (toString $rolling.maxUnavailable) (list "0" "0%")) }}
- strategy.rollingUpdate.maxSurge and strategy.rollingUpdate.maxUnavailable are both 0, so no pod could be replaced.
{{- end }}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.scaling" -}}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
- {{ printf "autoscaling.minReplicas (%v) is above autoscaling.maxReplicas (%v)." .minReplicas .maxReplicas | quote }}
{{- end }}
{{- if not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .metrics) }}
- autoscaling.enabled needs a metric; set autoscaling.targetCPUUtilizationPercentage, autoscaling.targetMemoryUtilizationPercentage or autoscaling.metrics.
{{- end }}
{{- range $resource, $key := dict "cpu" "targetCPUUtilizationPercentage" "memory" "targetMemoryUtilizationPercentage" }}
{{- if and (get $.Values.autoscaling $key) (not (dig "requests" $resource "" ($.Values.resources | default dict))) (not (dig "limits" $resource "" ($.Values.resources | default dict))) }}
- {{ printf "autoscaling.%s is a share of resources.requests.%s, which is not set." $key $resource | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $pods := include "meeting-control.fewestPods" . | int }}
{{- with .Values.podDisruptionBudget }}
{{- /* Kubernetes rounds a percentage up. */}}
{{- $fewest := int (ternary (div (add (mul (toString .minAvailable | trimSuffix "%" | int) $pods) 99) 100) .minAvailable (kindIs "string" .minAvailable)) }}
{{- if and .enabled (gt $pods 1) (ge $fewest $pods) }}
- {{ printf "podDisruptionBudget.minAvailable (%v) lets none of %d pods go, so no node could be drained." .minAvailable $pods | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.network" -}}
{{- $config := .Values.config -}}
{{- range $key := list "listen" "adminListen" }}
{{- if regexMatch "^(127\\.|\\[::1\\])" (get $config $key) }}
- {{ printf "config.%s is %s, which nobody outside the pod can reach." $key (get $config $key) | quote }}
{{- end }}
{{- end }}
{{- $service := .Values.service }}
{{- if and (or (has "IPv6" ($service.ipFamilies | default list)) (eq $service.ipFamilyPolicy "RequireDualStack")) (not (hasPrefix "[" $config.listen)) }}
- {{ printf "config.listen is %s, where no call over IPv6 arrives, which service.ipFamilies or service.ipFamilyPolicy asks for; [::] takes both families." $config.listen | quote }}
{{- end }}
{{- if and (eq (first ($service.ipFamilies | default (list ""))) "IPv6") (not (hasPrefix "[" $config.adminListen)) }}
- {{ printf "config.adminListen is %s, where probes and Prometheus do not arrive, as service.ipFamilies begins with IPv6; [::] takes both families." $config.adminListen | quote }}
{{- end }}
{{- if eq (include "meeting-control.port" $config.listen) (include "meeting-control.port" $config.adminListen) }}
- {{ printf "config.listen and config.adminListen have the same port, %s." (include "meeting-control.port" $config.listen) | quote }}
{{- end }}
{{- if .Values.sandbox.enabled }}
{{- range $key := list "listen" "adminListen" }}
{{- if eq (include "meeting-control.port" (get $config $key)) "8080" }}
- {{ printf "config.%s has port 8080, which the sandbox's stand-in uses." $key | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) }}
- grpcRoute.enabled needs a gateway; set grpcRoute.parentRefs.
{{- end -}}
{{- end }}

{{- define "meeting-control.checks.monitoring" -}}
{{- range $name, $kind := dict "serviceMonitor" "ServiceMonitor" "prometheusRule" "PrometheusRule" }}
{{- $monitor := dict "root" $ "monitor" (get $.Values.metrics $name) "name" $name "kind" $kind }}
{{- if include "meeting-control.monitorRendered" $monitor }}
{{- with include "meeting-control.monitorLacks" $monitor }}
- {{ printf "metrics.%s.enabled needs %s." $name . | quote }}
{{- end }}
{{- end }}
{{- end -}}
{{- end }}
