{{/*
The alerts, as a list: each with an expression and what the person on call reads. Whether they are raised, how
severe they are and how long they must hold is added from the values where this is used.

Takes a dict with `root`, `selector` (label matchers) and `threshold` (by name of the alert).

Faults are the codes that are not the caller's own mistakes, as OpenTelemetry's conventions for gRPC servers have
them, and shed calls. Other RESOURCE_EXHAUSTED is the REST API's limit, which has an alert of its own, or the façade's
on passwords, for which nobody need be woken.

No recording rules: the counters have some twenty series per replica, so they would cost more than they save.
*/}}
{{- define "meeting-control.alerts" -}}
{{- $fullname := include "meeting-control.fullname" .root -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $values := .root.Values -}}
{{- $minimum := $values.metrics.prometheusRule.minimumCalls -}}
{{- $limit := int64 $values.config.maxInFlight -}}
{{- $own := .selector -}}
{{- $calls := printf "%s,grpc_service=\"meeting.control.v1.MeetingControl\"" .selector -}}
{{- $faults := printf "%s,grpc_code=~\"Unknown|DeadlineExceeded|Unimplemented|Internal|Unavailable|DataLoss\"" $calls -}}
{{- $failed := `(
      (
        sum by (namespace, job) (rate(grpc_server_handled_total{%[1]s}[%[4]s]))
        +
        sum by (namespace, job) (rate(meeting_control_shed_total{%[2]s}[%[4]s]))
      )
      /
      sum by (namespace, job) (rate(grpc_server_handled_total{%[3]s}[%[4]s]))
    )` -}}
{{- $here := printf "%s in namespace %s" $fullname $namespace -}}
{{- $kubectl := printf "kubectl -n %s" $namespace -}}
{{- $pods := include "meeting-control.selectorLabels" .root | replace ": " "=" | replace "\n" "," | replace "\"" "" -}}
{{- $logs := printf "%s logs -l %s --since=15m --tail=-1" $kubectl $pods -}}
{{- /* Not kubectl scale: the autoscaler undoes it, and the next upgrade conflicts with it. */}}
{{- $grow := ternary "raise `autoscaling.maxReplicas` with `helm upgrade`" "raise `replicaCount` with `helm upgrade`" $values.autoscaling.enabled -}}
{{- $open := printf `count by (namespace, job) (
      meeting_control_breaker_state{%[1]s} > 0
      and on (namespace, pod)
      rate(grpc_server_started_total{%[2]s}[5m]) > 0
    )
    /
    count by (namespace, job) (
      sum by (namespace, job, pod) (rate(grpc_server_started_total{%[2]s}[5m])) > 0
    )` $own $calls -}}
{{- $wanted := int .threshold.MeetingControlReplicasMissing -}}
{{- /* With no pods wanted, none are missing. */}}
{{- if gt $wanted 0 }}

- alert: MeetingControlDown
  expr: label_replace(absent(up{ {{- $own }}} == 1), "namespace", "{{ $namespace }}", "", "")
  summary: No replica of {{ $here }} answers Prometheus
  description: >-
    Callers get UNAVAILABLE, or no connection at all, unless it is only the monitoring that fails. Look at
    `{{ $kubectl }} get deploy,pods,endpointslices -l {{ $pods }}` first. Pods that
    crash say why in `{{ $kubectl }} logs POD --previous`, and a bad setting is named there; undo the last change with
    `helm -n {{ $namespace }} rollback {{ .root.Release.Name }}`. Pods that wait for a place or an image say so in
    `{{ $kubectl }} describe pod POD`. If all pods are ready, calls are served: see whether Prometheus has the targets, and
    whether a NetworkPolicy keeps it from the admin port.
{{- end }}
{{- /* A count of nothing is nothing, so less than one pod is for the alert above. */}}
{{- if gt $wanted 1 }}

- alert: MeetingControlReplicasMissing
  expr: count by (namespace, job) (count by (namespace, job, pod) (up{ {{- $own }}} == 1)) < {{ $wanted }}
  summary: Only {{ "{{ $value }}" }} of {{ $wanted }} replicas of {{ $here }} answer Prometheus
  description: >-
    Callers notice nothing yet, but there is less room for load and for the loss of a node. Look at
    `{{ $kubectl }} get pods -o wide -l {{ $pods }}`, then at
    `{{ $kubectl }} describe pod POD` of one that is not ready: no node with room, an image that cannot be pulled, a missing
    secret, or a crash (`{{ $kubectl }} logs POD --previous`). If a rollout has just begun, undo it with
    `helm -n {{ $namespace }} rollback {{ .root.Release.Name }}`.
{{- end }}

- alert: MeetingControlRestarting
  expr: max by (namespace, pod) (changes(process_start_time_seconds{ {{- $own }}}[1h])) > {{ .threshold.MeetingControlRestarting }}
  summary: Pod {{ "{{ $labels.pod }}" }} restarted {{ "{{ $value }}" }} times within an hour
  description: >-
    Calls under way at a restart end with UNAVAILABLE. See how the last run ended with
    `{{ $kubectl }} describe pod {{ "{{ $labels.pod }}" }}` under "Last State". OOMKilled: raise `resources.limits.memory`.
    Exit code 137 or 143 with liveness events: the node is starved, or the processor limit is too low. Any other code:
    the last lines of `{{ $kubectl }} logs {{ "{{ $labels.pod }}" }} --previous` name the cause.

- alert: MeetingControlFailing
  expr: |-
    {{- range $window := list "5m" "1h" }}
    {{ printf $failed $faults $own $calls $window }} > {{ $.threshold.MeetingControlFailing }}
    and
    {{- end }}
    sum by (namespace, job) (increase(grpc_server_handled_total{ {{- $calls }}}[1h])) >= {{ $minimum }}
  summary: '{{ "{{ $value | humanizePercentage }}" }} of the calls to {{ $here }} fail'
  description: >-
    Callers get UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL or the like; their own mistakes are not counted. See which code
    and which `reason` prevail in `{{ $logs }}`. `UPSTREAM_…` and `HTTP_5NN`: the REST API, or the way to it (name service,
    proxy, egress policy); ask the vendor with the `upstream_request_id` from the log. UNIMPLEMENTED: `config.upstream` may
    name the wrong host. DEADLINE_EXCEEDED alone: the REST API is slow, or a caller has set a short deadline.
    OVERLOADED: see MeetingControlShedding. If it began with a rollout,
    `helm -n {{ $namespace }} rollback {{ .root.Release.Name }}`.

- alert: MeetingControlFailingSlowly
  expr: |-
    {{- range $window := list "30m" "6h" }}
    {{ printf $failed $faults $own $calls $window }} > {{ $.threshold.MeetingControlFailingSlowly }}
    and
    {{- end }}
    sum by (namespace, job) (increase(grpc_server_handled_total{ {{- $calls }}}[6h])) >= {{ $minimum }}
  summary: '{{ "{{ $value | humanizePercentage }}" }} of the calls to {{ $here }} have failed for hours'
  description: >-
    A part of the callers gets UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL or the like, again and again; their own
    mistakes are not counted. It can wait for the morning. See which code, `reason` and `error_code` prevail in
    `{{ $logs }}`, and whether one replica or one meeting stands out. Report what the REST API refuses to the vendor, with
    the `upstream_request_id` from the log.

- alert: MeetingControlSlow
  expr: |-
    histogram_quantile(0.99, sum by (namespace, job, le) (rate(grpc_server_handling_seconds_bucket{ {{- $calls }}}[10m]))) > {{ .threshold.MeetingControlSlow }}
    and
    sum by (namespace, job) (increase(grpc_server_handling_seconds_count{ {{- $calls }}}[10m])) >= {{ $minimum }}
  summary: One call in a hundred to {{ $here }} takes longer than {{ "{{ $value | humanizeDuration }}" }}
  description: >-
    Callers wait, and those with a short deadline get DEADLINE_EXCEEDED. Compare the time of a call with that of an attempt
    at the REST API (`meeting_control_upstream_attempt_seconds`). If attempts are slow, it is the REST API or the way to it:
    tell the vendor; callers are held no longer than `config.timeout`. If attempts are fast, calls wait for retries
    (`meeting_control_upstream_retries_total`) or for the processor: {{ $grow }}, and `resources.limits.cpu` where it is set.

- alert: MeetingControlShedding
  expr: |-
    sum by (namespace, pod) (rate(meeting_control_shed_total{ {{- $own }}}[5m]))
    /
    sum by (namespace, pod) (rate(grpc_server_started_total{ {{- $calls }}}[5m])) > {{ .threshold.MeetingControlShedding }}
  summary: Pod {{ "{{ $labels.pod }}" }} refuses {{ "{{ $value | humanizePercentage }}" }} of its calls
  description: >-
    Callers get RESOURCE_EXHAUSTED with reason OVERLOADED, and nothing is changed. The label `limit` of
    `meeting_control_shed_total` says whose limit it was. `all`: {{ $limit }} calls are under way at once
    (`config.maxInFlight`). `caller`: three quarters of these permits are taken, one caller has its share of them
    (`config.maxInFlightPerCaller`) and wants more, and the others are served; with mTLS, `peer` in `{{ $logs }}` names it.
    If it is a gateway or a proxy that speaks for everybody, set that value to 0. See first whether calls have become slow (MeetingControlSlow,
    MeetingControlUpstreamDown): then more replicas do not help, the REST API must recover. If traffic has grown,
    {{ $grow }}. If only one replica is busy, its callers hold single connections: have them use the headless service with `round_robin`.

- alert: MeetingControlInFlightHigh
  expr: max by (namespace, pod) (grpc_server_in_flight{ {{- $calls }}}) / {{ $limit }} > {{ .threshold.MeetingControlInFlightHigh }}
  summary: Pod {{ "{{ $labels.pod }}" }} is at {{ "{{ $value | humanizePercentage }}" }} of its calls at once
  description: >-
    Callers notice nothing below three quarters of {{ $limit }} (`config.maxInFlight`). From there on, those that want more than
    `config.maxInFlightPerCaller` are refused with RESOURCE_EXHAUSTED, and at {{ $limit }} all are. Calls pile up when the REST API is slow, so look at the time of attempts first
    (`meeting_control_upstream_attempt_seconds`). If it is as always, traffic has grown: {{ $grow }}.

- alert: MeetingControlUpstreamDown
  # A breaker stays open while nobody calls, which says nothing about the REST API now.
  expr: |-
    {{ $open }} >= {{ .threshold.MeetingControlUpstreamDown }}
  summary: '{{ "{{ $value | humanizePercentage }}" }} of the busy replicas of {{ $here }} cannot reach the REST API'
  description: >-
    The breaker is open: callers get UNAVAILABLE with reason UPSTREAM_DOWN at once, nothing is changed, and one call
    each second is let through to find out whether the REST API can be reached again, so nothing needs a restart. The cause is in the line
    "the upstream is down" of `{{ $logs }}`. A name that is not found, a refused connection or a failed handshake point
    to name service, egress policy, proxy or certificates: see whether other pods reach {{ $values.config.upstream }}.
    Connections that time out from all replicas point to the vendor: look at their status page and call them. If a single replica is
    concerned, delete its pod, and look at its node.

- alert: MeetingControlUpstreamDownPartly
  expr: |-
    {{ $open }}
    {{- if hasKey .threshold "MeetingControlUpstreamDown" }} < {{ .threshold.MeetingControlUpstreamDown }}{{ end }}
  summary: '{{ "{{ $value | humanizePercentage }}" }} of the busy replicas of {{ $here }} cannot reach the REST API'
  description: >-
    Calls to these replicas get UNAVAILABLE with reason UPSTREAM_DOWN, and nothing is changed; the others serve. So it is hardly
    the REST API, but the way to it: the pods are named with the line "the upstream is down" and its cause in
    `{{ $logs }} --prefix`. See in `{{ $kubectl }} get pods -o wide -l {{ $pods }}` whether they
    share a node or a zone, and look at its name service, routes and egress. Delete a pod that stays so.

- alert: MeetingControlTokensNotIssued
  expr: |-
    sum by (namespace, job) (rate(meeting_control_token_requests_total{ {{- $own }},result="failed"}[5m]))
    /
    sum by (namespace, job) (rate(meeting_control_token_requests_total{ {{- $own }},result=~"issued|failed"}[5m])) > {{ .threshold.MeetingControlTokensNotIssued }}
  summary: '{{ "{{ $value | humanizePercentage }}" }} of the tokens that {{ $here }} asks for cannot be obtained'
  description: >-
    Calls with a password fail, and nothing is changed, once the token that is kept for it has ended; those that have one
    go on, and so do calls with a token of their own. Wrong passwords are not counted. See `reason` in `{{ $logs }}` where
    `stage` is `token`: the REST API is down or slow for that call alone, or its answers hold no token.

- alert: MeetingControlUpstreamThrottling
  expr: |-
    (
      sum by (namespace, job) (rate(grpc_server_handled_total{ {{- $calls }},grpc_code="ResourceExhausted"}[10m]))
      -
      sum by (namespace, job) (rate(meeting_control_shed_total{ {{- $own }}}[10m]))
      -
      sum by (namespace, job) (rate(meeting_control_token_lookups_total{ {{- $own }},result="withheld"}[10m]))
    )
    /
    sum by (namespace, job) (rate(grpc_server_handled_total{ {{- $calls }}}[10m])) > {{ .threshold.MeetingControlUpstreamThrottling }}
    and
    sum by (namespace, job) (increase(grpc_server_handled_total{ {{- $calls }}}[10m])) >= {{ $minimum }}
  summary: The REST API refuses {{ "{{ $value | humanizePercentage }}" }} of the calls to {{ $here }} as too many
  description: >-
    Callers get RESOURCE_EXHAUSTED with the vendor's reason, and nothing is changed. More replicas make it worse. See
    `reason` in `{{ $logs }}`. APIG_THROTTLED, CONF_SERVER_FLOW_CONTROL or HTTP_429: find the caller that sends most, slow it
    down, or have the vendor raise the limit. APIG_APP_QUOTA_USED_UP: have the quota raised. A reason that ends in LOCKED:
    a caller keeps using bad credentials; stop it.

- alert: MeetingControlRetryBudgetSpent
  expr: |-
    sum by (namespace, job) (rate(meeting_control_upstream_retry_budget_exhausted_total{ {{- $own }}}[5m]))
    /
    sum by (namespace, job) (rate(grpc_server_started_total{ {{- $calls }}}[5m])) > {{ .threshold.MeetingControlRetryBudgetSpent }}
  summary: '{{ $here }} leaves out retries, {{ "{{ $value | humanizePercentage }}" }} as many as there are calls'
  description: >-
    So many attempts at the REST API fail that retries would exceed a fifth of the calls, so faults reach callers that
    a retry hides otherwise: mostly UNAVAILABLE and DEADLINE_EXCEEDED. The budget protects the REST API and is not the
    cause. See which outcome of `meeting_control_upstream_attempts_total` has grown, and `reason` and `cause` in
    `{{ $logs }}`: `not_sent` points to network, name service or proxy, `no_answer` to time-outs, `refused` to the REST API
    itself (502, 503, 429). Tell the vendor; do not raise `config.maxRetries`.

- alert: MeetingControlTokensRefused
  expr: |-
    sum by (namespace, job) (rate(grpc_server_handled_total{ {{- $calls }},grpc_code=~"Unauthenticated|PermissionDenied"}[30m]))
    /
    sum by (namespace, job) (rate(grpc_server_handled_total{ {{- $calls }}}[30m])) > {{ .threshold.MeetingControlTokensRefused }}
    and
    sum by (namespace, job) (increase(grpc_server_handled_total{ {{- $calls }}}[30m])) >= {{ $minimum }}
  summary: '{{ "{{ $value | humanizePercentage }}" }} of the calls to {{ $here }} are refused for their token or rights'
  description: >-
    Callers get UNAUTHENTICATED or PERMISSION_DENIED, and nothing is changed. Tokens and passwords are the callers', so it is
    mostly a caller, or what they come from. See `reason` in `{{ $logs }}`. TOKEN_MISSING: a caller lost its token or
    password in a change. CONF_PWD_AUTH_FAILED: a password is wrong. CONF_NOT_FOUND_OR_AUTH_FAILED or HTTP_401 for all callers: tokens come from another site of the vendor than
    `config.upstream`, or their renewal has failed. CLIENT_NOT_ALLOWED: the caller's certificate does not fit
    `config.tlsClientAllow`.

- alert: MeetingControlConnectionsHigh
  expr: |-
    max by (namespace, pod) (
      meeting_control_connections{ {{- $own }}} > {{ .threshold.MeetingControlConnectionsHigh }}
      or
      process_open_fds{ {{- $own }}} > 0.8 * process_max_fds{ {{- $own }}}
    )
  summary: Pod {{ "{{ $labels.pod }}" }} has {{ "{{ $value }}" }} connections or open files, and few more to give
  description: >-
    Callers notice nothing yet; a replica closes new connections beyond 3,500, and accepts none beyond its limit of open
    files (`process_max_fds`), which callers see as UNAVAILABLE. Find out who connects: a client that opens a connection for
    each call must keep one instead. If there are simply many clients, {{ $grow }};
    connections move over within `config.maxConnectionAge`. If `process_max_fds` is below 4,000, have the container
    runtime of the node allow more open files.
{{- if $values.tls.enabled }}

{{- $tls := $values.tls }}
{{- $seconds := mulf 86400 (.threshold.MeetingControlCertificateExpiring | default 0) | int64 }}
{{- $issued := and $tls.certManager.enabled (not $values.config.tlsCert) }}
{{- if $issued }}
{{- /* A certificate of hours always ends soon: what counts is that it should have been renewed long ago. */}}
{{- $seconds = min $seconds (div (include "meeting-control.milliseconds" $tls.certManager.renewBefore | int64) 2000) }}
{{- end }}

- alert: MeetingControlCertificateExpiring
  expr: min by (namespace, job) (meeting_control_tls_certificate_not_after_timestamp_seconds{ {{- $own }}}) - time() < {{ $seconds }}
  summary: The certificate of {{ $here }} ends in {{ "{{ $value | humanizeDuration }}" }}
  description: >-
    Callers notice nothing yet; after the end, every TLS connection fails.
    {{- if $issued }}
    cert-manager says what keeps it from renewing in `{{ $kubectl }} describe certificate {{ $fullname }}`, in the
    `certificaterequest`, `order` and `challenge` that this names, and in its own log: an issuer that is gone, a refused
    challenge, a rate limit. Once that is mended, `cmctl -n {{ $namespace }} renew {{ $fullname }}` starts anew.
    {{- else if $values.config.tlsCert }}
    Have what writes `{{ $values.config.tlsCert }}` in the pods renew it.
    {{- else }}
    Put a new certificate and its key into the Secret `{{ $tls.secretName }}`, or find out why what does so has not.
    {{- end }}
    The façade takes a new certificate by itself, without a restart. If it has not, `{{ $logs }}` has the line
    "the new TLS files cannot be used" with the cause.
{{- end }}
{{- end }}
