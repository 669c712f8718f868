{{/* What may be meant so but is risky, a sentence each. NOTES.txt shows them. */}}
{{- define "meeting-control.warnings" -}}
{{- $tls := .Values.tls -}}
{{- $service := .Values.service -}}
{{- $pods := include "meeting-control.fewestPods" . | int -}}
{{- $image := .Values.image -}}
{{- $tokens := int64 .Values.config.maxTokens -}}
{{- $secrets := ternary "host passwords and control tokens" "control tokens" (gt $tokens 0) -}}
{{- if .Values.sandbox.enabled }}
- This is the sandbox: nothing reaches Huawei Cloud, its token is known to everyone, and each pod keeps meetings of its own.
{{- end }}
{{- if not (or $tls.enabled .Values.sandbox.enabled) }}
- Callers' {{ $secrets }} travel in clear to the pods, unless a mesh encrypts them; see "Mesh" in the README. Set tls.enabled.
{{- end }}
{{- if and $tls.enabled (not (include "meeting-control.mtls" .)) (not .Values.networkPolicy.enabled) }}
- Anybody who reaches the Service may call. Set tls.clientCa.enabled or networkPolicy.enabled.
{{- end }}
{{- if and (include "meeting-control.mtls" .) (not .Values.config.tlsClientAllow) }}
- Every certificate of the client CA may call. Name the callers in config.tlsClientAllow.
{{- end }}
{{- if and .Values.config.allowPlaintextUpstream (hasPrefix "http:" .Values.config.upstream) (not .Values.sandbox.enabled) }}
- In clear, {{ $secrets }} travel to {{ .Values.config.upstream }}, as config.allowPlaintextUpstream allows.
{{- end }}
{{- if not .Values.networkPolicy.enabled }}
- There is no NetworkPolicy: the admin port is open to every pod, and pods may call anywhere. Set networkPolicy.enabled.
{{- end }}
{{- if and (ne $service.type "ClusterIP") .Values.networkPolicy.enabled (eq (toJson .Values.networkPolicy.ingress.grpcFrom) "[{\"namespaceSelector\":{}}]") }}
- The NetworkPolicy lets in callers from within the cluster alone, and the Service is a {{ $service.type }}. Set networkPolicy.ingress.grpcFrom.
{{- end }}
{{- if and (eq $service.ipFamilyPolicy "PreferDualStack") (not (has "IPv6" ($service.ipFamilies | default list))) (not (hasPrefix "[" .Values.config.listen)) }}
- In a cluster with both address families, calls over IPv6 do not arrive at {{ .Values.config.listen }}. Set config.listen to [::], which takes both.
{{- end }}
{{- if and (lt $pods 2) (not .Values.sandbox.enabled) }}
- With {{ ternary "one pod" "no pod" (eq $pods 1) }}, calls fail whenever its node goes. Set {{ ternary "autoscaling.minReplicas" "replicaCount" .Values.autoscaling.enabled }} to 2 or more.
{{- end }}
{{- if and (not $image.digest) (has $image.tag (list "latest" "main" "master" "edge" "nightly" "dev" "stable")) }}
- The tag {{ $image.tag }} moves, so pods may run different programs. Set image.digest, or a tag that stays.
{{- end }}
{{- if not (or $image.registry (.Values.global).imageRegistry (contains "/" $image.repository)) }}
- The image {{ include "meeting-control.image" . }} names no registry, so nodes must have it already. Set image.registry.
{{- end }}
{{- if lt (include "meeting-control.milliseconds" .Values.config.drainTimeout | int64) (include "meeting-control.milliseconds" .Values.config.timeout | int64) }}
- config.drainTimeout ({{ .Values.config.drainTimeout }}) is shorter than config.timeout ({{ .Values.config.timeout }}), so a rollout may cut calls.
{{- end }}
{{- if not (or (dig "requests" "memory" "" (.Values.resources | default dict)) (dig "limits" "memory" "" (.Values.resources | default dict))) }}
- Pods ask for no memory, so they are the first to go when a node runs short. Set resources.
{{- end }}
{{- $limit := include "meeting-control.memory" (list . "limits") }}
{{- /* Where passwords are taken, those that were refused are remembered as well. */}}
{{- $passwords := ternary (add 40000000 (mul 2000 $tokens)) 0 (gt $tokens 0) }}
{{- $needed := add 150000000 (mul 50000 (int64 .Values.config.maxInFlight)) $passwords }}
{{- with include "meeting-control.bytes" $limit }}
{{- if gt $needed (int64 .) }}
- With config.maxInFlight calls under way and config.maxTokens tokens kept, a pod may need {{ div $needed 1000000 }} MB, and resources.limits.memory is {{ $limit }}. Raise it, or lower one of these.
{{- end }}
{{- end }}
{{- $context := mergeOverwrite (include "meeting-control.podSecurityContext" . | fromYaml) (deepCopy (.Values.securityContext | default dict)) }}
{{- if eq (toString $context.runAsUser) "0" }}
- Pods run as root, for which the façade has no use. Set podSecurityContext.runAsUser and securityContext.runAsUser to another user.
{{- end }}
{{- if not (or .Values.readinessProbe.enabled .Values.customReadinessProbe) }}
- Without a readiness probe, calls go to pods that are starting or ending. Set readinessProbe.enabled.
{{- end }}
{{- if .Values.serviceAccount.automount }}
- Pods have a token for the Kubernetes API, for which the façade has no use. Set serviceAccount.automount to false.
{{- end }}
{{- if and .Values.grpcRoute.enabled $tls.enabled }}
- The pods speak TLS, and gateways speak plaintext to them until a BackendTLSPolicy says otherwise; the README has one.
{{- end }}
{{- if and .Values.tests.enabled (not (include "meeting-control.testsRendered" .)) }}
- There are no test pods, as mTLS asks them for a certificate. Set tests.clientCertSecret.
{{- end }}
{{- $missing := list }}
{{- range $name, $kind := dict "serviceMonitor" "ServiceMonitor" "podMonitor" "PodMonitor" "prometheusRule" "PrometheusRule" }}
{{- $values := get $.Values.metrics $name }}
{{- $monitor := dict "root" $ "monitor" $values "name" $name }}
{{- if and (include "meeting-control.monitorWanted" $monitor) (eq $values.renderMode "skipIfMissing") }}
{{- if not ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind)) }}
{{- $missing = append $missing $kind }}
{{- else }}
{{- with include "meeting-control.monitorLacks" $monitor }}
- There is no {{ $kind }}, as it needs {{ . }}.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with $missing }}
- There is no {{ join " and no " . }}, as the cluster has no such API. See "Monitoring" in the README.
{{- end }}
{{- if and $service.trafficDistribution (ne (include "meeting-control.trafficDistribution" .) $service.trafficDistribution) }}
- Kubernetes {{ .Capabilities.KubeVersion.Version }} does not know service.trafficDistribution {{ $service.trafficDistribution }}, so it was {{ include "meeting-control.trafficDistribution" . | default "left out" }}.
{{- end }}
{{- end }}
