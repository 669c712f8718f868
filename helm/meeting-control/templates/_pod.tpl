{{/* The volumes with certificates. They are mounted as directories, so that renewed files are seen. */}}
{{- define "meeting-control.volumes" -}}
{{- $volumes := list -}}
{{- with include "meeting-control.tlsSecret" . -}}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" . "defaultMode" (include "meeting-control.keyMode" $ | int))) -}}
{{- end -}}
{{- if include "meeting-control.clientCaMounted" . -}}
{{- $volumes = append $volumes (include "meeting-control.caVolume" (dict "name" "client-ca" "from" .Values.tls.clientCa) | fromYaml) -}}
{{- end -}}
{{- if or .Values.upstreamCa.secretName .Values.upstreamCa.configMapName -}}
{{- $volumes = append $volumes (include "meeting-control.caVolume" (dict "name" "upstream-ca" "from" .Values.upstreamCa) | fromYaml) -}}
{{- end -}}
{{- range .Values.extraVolumes -}}
{{- $volumes = append $volumes . -}}
{{- end -}}
{{- if $volumes }}{{ include "meeting-control.tpl" (list . $volumes) }}{{ end -}}
{{- end }}

{{/* The mode of files with a private key: 0440, for the group of volumes, and 0444 where there is no such group. */}}
{{- define "meeting-control.keyMode" -}}
{{- $group := (.Values.podSecurityContext).fsGroup -}}
{{- ternary 292 288 (and (kindIs "invalid" $group) (not (include "meeting-control.openshift" .))) -}}
{{- end }}

{{/* A volume with the one key of a Secret or ConfigMap that holds roots; the Secret may hold a private key as well. */}}
{{- define "meeting-control.caVolume" -}}
{{- $items := list (dict "key" .from.key "path" .from.key) -}}
name: {{ .name }}
{{- if .from.secretName }}
secret:
  secretName: {{ .from.secretName | quote }}
{{- else }}
configMap:
  name: {{ .from.configMapName | quote }}
{{- end }}
  defaultMode: 292
  items:
    {{- toYaml $items | nindent 4 }}
{{- end }}

{{- define "meeting-control.volumeMounts" -}}
{{- $mounts := list -}}
{{- if include "meeting-control.tlsSecret" . -}}
{{- $mounts = append $mounts (dict "name" "tls" "mountPath" "/etc/meeting-control/tls" "readOnly" true) -}}
{{- end -}}
{{- if include "meeting-control.clientCaMounted" . -}}
{{- $mounts = append $mounts (dict "name" "client-ca" "mountPath" "/etc/meeting-control/client-ca" "readOnly" true) -}}
{{- end -}}
{{- if or .Values.upstreamCa.secretName .Values.upstreamCa.configMapName -}}
{{- $mounts = append $mounts (dict "name" "upstream-ca" "mountPath" "/etc/meeting-control/upstream-ca" "readOnly" true) -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- $mounts = append $mounts . -}}
{{- end -}}
{{- if $mounts }}{{ toYaml $mounts }}{{ end -}}
{{- end }}

{{/* "true" on OpenShift, else nothing. */}}
{{- define "meeting-control.openshift" -}}
{{- if or (eq .Values.openshift "enabled") (and (eq .Values.openshift "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}true{{ end -}}
{{- end }}

{{/* The security context of pods, or nothing. OpenShift gives each namespace ids of its own and refuses others. */}}
{{- define "meeting-control.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext | default dict -}}
{{- with ternary (omit $context "runAsUser" "runAsGroup" "fsGroup") $context (eq (include "meeting-control.openshift" .) "true") }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* A probe: the user's own, or one of the admin port, which speaks plain HTTP with TLS on and off. */}}
{{- define "meeting-control.probe" -}}
{{- if .custom -}}
{{- include "meeting-control.tpl" (list .root .custom) -}}
{{- else if .probe.enabled -}}
httpGet:
  path: {{ .path }}
  port: admin
{{ include "meeting-control.present" (omit .probe "enabled") }}
{{- end -}}
{{- end }}

{{/* A map without the keys that hold nothing, and so the maps in it. */}}
{{- define "meeting-control.present" -}}
{{- $present := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $value = include "meeting-control.present" $value | fromYaml -}}
{{- end -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $present $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $present -}}
{{- end }}

{{/* How pods resolve names, or nothing. */}}
{{- define "meeting-control.nameService" -}}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Spread over zones and hosts. Only pods of one revision are counted, so that a rollout does not stand in its own way. */}}
{{- define "meeting-control.topologySpreadConstraints" -}}
{{- $all := list -}}
{{- $filled := dict
      "labelSelector" (dict "matchLabels" (include "meeting-control.selectorLabels" . | fromYaml))
      "matchLabelKeys" (list "pod-template-hash") -}}
{{- range $constraint := .Values.topologySpreadConstraints -}}
{{- $constraint = deepCopy $constraint -}}
{{- range $key, $value := $filled -}}
{{- if not (hasKey $constraint $key) }}{{ $_ := set $constraint $key $value }}{{ end -}}
{{- end -}}
{{- $all = append $all $constraint -}}
{{- end -}}
{{- if $all }}{{ include "meeting-control.tpl" (list . $all) }}{{ end -}}
{{- end }}
