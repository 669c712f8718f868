{{/* Whom tests and the call in NOTES.txt call. It is a name that a certificate for the Service should have, and cert-manager's has. */}}
{{- define "meeting-control.testHost" -}}
{{- .Values.tests.host | default (printf "%s.%s.svc" (include "meeting-control.fullname" .) .Release.Namespace) -}}
{{- end }}

{{/* Where the root is that they trust: a map of secretName or configMapName, and key. Nothing where it is not known. */}}
{{- define "meeting-control.testRoot" -}}
{{- $ca := .Values.tests.ca -}}
{{- $server := include "meeting-control.tlsSecret" . -}}
{{- if or $ca.secretName $ca.configMapName -}}
{{- pick $ca "secretName" "configMapName" "key" | toYaml -}}
{{- else if $server -}}
{{- dict "secretName" $server "key" .Values.tls.caKey | toYaml -}}
{{- end -}}
{{- end }}

{{/* A test pod with the image's own client: dict with `root`, `name` and `args`. It passes the Pod Security Standard "restricted". */}}
{{- define "meeting-control.testPod" -}}
{{- $values := .root.Values -}}
{{- $tests := $values.tests -}}
{{- $tls := $values.tls.enabled -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- $files := list -}}
{{- if and $tls (not $tests.ca.system) -}}
{{- $root := include "meeting-control.testRoot" .root | fromYaml -}}
{{- $volumes = append $volumes (include "meeting-control.caVolume" (dict "name" "ca" "from" $root) | fromYaml) -}}
{{- $mounts = append $mounts (dict "name" "ca" "mountPath" "/etc/meeting-control/ca" "readOnly" true) -}}
{{- $files = concat $files (list "--ca" (printf "/etc/meeting-control/ca/%s" $root.key)) -}}
{{- end -}}
{{- if and $tls $tests.clientCertSecret -}}
{{- $volumes = append $volumes (dict "name" "client" "secret" (dict "secretName" $tests.clientCertSecret "defaultMode" (include "meeting-control.keyMode" .root | int))) -}}
{{- $mounts = append $mounts (dict "name" "client" "mountPath" "/etc/meeting-control/client" "readOnly" true) -}}
{{- $files = concat $files (list "--cert" "/etc/meeting-control/client/tls.crt" "--key" "/etc/meeting-control/client/tls.key") -}}
{{- end -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "meeting-control.suffixed" (list .root (printf "test-%s" .name)) }}
  labels:
    {{- include "meeting-control.labelsOver" (dict "root" .root "own" (include "meeting-control.testLabels" .root | fromYaml)) | nindent 4 }}
  {{- $hook := dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation" }}
  {{- include "meeting-control.annotations" (list .root $tests.podAnnotations $hook) | nindent 2 }}
spec:
  restartPolicy: Never
  activeDeadlineSeconds: {{ $tests.activeDeadlineSeconds | int64 }}
  serviceAccountName: {{ include "meeting-control.serviceAccountName" .root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "meeting-control.imagePullSecrets" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "meeting-control.podSecurityContext" .root }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "meeting-control.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        {{- .args | nindent 8 }}
        - --address
        - {{ printf "%s://%s:%v" (ternary "https" "http" $tls) (include "meeting-control.testHost" .root) $values.service.port | quote }}
        {{- with $files }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with include "meeting-control.present" $tests.resources | fromYaml }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $mounts }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with $volumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "meeting-control.nameService" .root }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}
