{{/*
The full name of the release: of all objects, or the beginning of their names. It is a DNS label, though a release's name may have dots.
*/}}
{{- define "meeting-control.fullname" -}}
{{- $name := include "meeting-control.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- include "meeting-control.label" (.Values.fullnameOverride | default $full) -}}
{{- end }}

{{/* The chart's name, or what a parent chart calls it by an alias. */}}
{{- define "meeting-control.name" -}}
{{- include "meeting-control.label" (.Values.nameOverride | default .Chart.Name) -}}
{{- end }}

{{/* A name as a DNS label: an alias may have capitals and underscores. */}}
{{- define "meeting-control.label" -}}
{{- regexReplaceAll "^-+|-+$" (. | lower | replace "." "-" | replace "_" "-" | trunc 63) "" -}}
{{- end }}

{{/*
The full name with a suffix: list, of the root and the suffix. Where both are too long, the name is cut, and a piece of its
digest keeps releases apart whose names begin alike.
*/}}
{{- define "meeting-control.suffixed" -}}
{{- $full := include "meeting-control.fullname" (index . 0) -}}
{{- $suffix := index . 1 -}}
{{- $room := sub 62 (len $suffix) | int -}}
{{- if gt (len $full) $room -}}
{{- $full = printf "%s-%s" (regexReplaceAll "-+$" (trunc (sub $room 7 | int) $full) "") (sha256sum $full | trunc 6) -}}
{{- end -}}
{{- printf "%s-%s" $full $suffix -}}
{{- end }}

{{- define "meeting-control.headlessName" -}}
{{- include "meeting-control.suffixed" (list . "headless") -}}
{{- end }}

{{- define "meeting-control.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "meeting-control.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{/* Only what never changes: a selector is immutable. */}}
{{- define "meeting-control.selectorLabels" -}}
app.kubernetes.io/name: {{ include "meeting-control.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
{{- end }}

{{/* Labels of test pods. Their name differs, or the Services would send calls to them. */}}
{{- define "meeting-control.testLabels" -}}
app.kubernetes.io/name: {{ include "meeting-control.label" (printf "%s-test" (include "meeting-control.name" . | trunc 58)) | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
{{- end }}

{{/* Labels of an object. The chart's own win, so that commonLabels cannot break a selector. */}}
{{- define "meeting-control.labels" -}}
{{- include "meeting-control.labelsOver" (dict "root" . "own" (include "meeting-control.selectorLabels" . | fromYaml)) -}}
{{- end }}

{{/* Takes a dict with `root`, `own` (labels that win) and maybe `more` (labels of this object, from values). */}}
{{- define "meeting-control.labelsOver" -}}
{{- $root := .root -}}
{{- $own := merge (dict
      "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_" | trunc 63)
      "app.kubernetes.io/managed-by" $root.Release.Service
      "helm.sh/chart" (printf "%s-%s" (include "meeting-control.label" $root.Chart.Name) $root.Chart.Version | replace "+" "_" | trunc 63)
    ) .own -}}
{{- $user := include "meeting-control.strings" (list $root $root.Values.commonLabels .more) | fromYaml -}}
{{- merge $own $user | toYaml -}}
{{- end }}

{{/* Annotations of an object with their key, or nothing: list, of the root and maps of which a later one wins. */}}
{{- define "meeting-control.annotations" -}}
{{- $root := index . 0 -}}
{{- $all := prepend (rest .) $root.Values.commonAnnotations -}}
{{- with include "meeting-control.strings" (prepend $all $root) | fromYaml -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Maps of strings as one map, of which a later one wins. Values are templates: list, of the root and the maps. */}}
{{- define "meeting-control.strings" -}}
{{- $root := index . 0 -}}
{{- $all := dict -}}
{{- range rest . -}}
{{- range $key, $value := . -}}
{{- $_ := set $all $key (tpl $value $root) -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* Any value with its strings taken as templates: list, of the root and the value. */}}
{{- define "meeting-control.tpl" -}}
{{- tpl (index . 1 | toYaml) (index . 0) -}}
{{- end }}

{{- define "meeting-control.image" -}}
{{- $image := .Values.image -}}
{{- $registry := (.Values.global).imageRegistry | default $image.registry -}}
{{- $name := ternary (printf "%s/%s" (trimSuffix "/" $registry) $image.repository) $image.repository (ne $registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Pull secrets with their key, or nothing. A secret may be given by its name alone. */}}
{{- define "meeting-control.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global).imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with uniq $secrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
