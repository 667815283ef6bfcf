{{- define "offsite.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* Release and chart name, once where one holds the other; short enough for what is appended. */ -}}
{{- define "offsite.fullname" -}}
{{- $name := include "offsite.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Cluster-scoped objects carry the namespace too: the same release name may be used in another one. */ -}}
{{- define "offsite.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "offsite.fullname" .) | trunc 90 | trimSuffix "-" }}
{{- end }}

{{- define "offsite.serviceAccount" -}}
{{- $account := .Values.operator.serviceAccount }}
{{- if not (or $account.create $account.name) }}
{{- fail "operator.serviceAccount.name is needed with operator.serviceAccount.create false: the rights would go to the account `default`, which any pod of the namespace may have" }}
{{- end }}
{{- default (printf "%s-operator" (include "offsite.fullname" .)) $account.name }}
{{- end }}

{{- /* Labels that select; (list . "component"). */ -}}
{{- define "offsite.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "offsite.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* All labels of an object; (list . "component" more...). Each name once: the chart's own first, then more, then commonLabels. */ -}}
{{- define "offsite.labels" -}}
{{- $root := index . 0 -}}
{{- $labels := include "offsite.selector" . | fromYaml -}}
{{- $labels = merge $labels (dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service "app.kubernetes.io/part-of" "offsite-tuning" "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version)) -}}
{{- range slice . 2 }}{{ $labels = merge $labels . }}{{ end -}}
{{- toYaml (merge $labels $root.Values.commonLabels) }}
{{- end }}

{{- /* Annotations of an object; (list . more...). Each name once: more first, then commonAnnotations. Empty where there are none. */ -}}
{{- define "offsite.annotations" -}}
{{- $root := index . 0 -}}
{{- $annotations := dict -}}
{{- range slice . 1 }}{{ $annotations = merge $annotations . }}{{ end -}}
{{- with merge $annotations $root.Values.commonAnnotations }}{{ toYaml . }}{{ end }}
{{- end }}

{{- /* name, namespace, labels and annotations; (list . "component" "name" labels annotations), the last two where there are more. */ -}}
{{- define "offsite.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
{{ include "offsite.clusterMetadata" (concat (list $root (index . 1)) (slice . 3)) }}
{{- end }}

{{- /* labels and annotations alone; (list . "component" labels annotations). */ -}}
{{- define "offsite.clusterMetadata" -}}
{{- $root := index . 0 -}}
{{- $more := concat (slice . 2) (list dict dict) -}}
labels:
  {{- include "offsite.labels" (list $root (index . 1) (index $more 0)) | nindent 2 }}
{{- with include "offsite.annotations" (list $root (index $more 1)) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* registry/repository:tag@digest; (list . image registry defaultTag). */ -}}
{{- define "offsite.image" -}}
{{- $image := index . 1 -}}
{{- with index . 2 }}{{ . }}/{{ end }}{{ $image.repository }}:{{ required "an image's tag must not be empty" (default (index . 3) $image.tag) }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "offsite.ownImage" -}}
{{- $root := index . 0 -}}
{{- include "offsite.image" (list $root (index . 1) $root.Values.imageRegistry $root.Chart.AppVersion) }}
{{- end }}

{{- /* A pod's security context; (list . values). No user and groups where the cluster chooses them. */ -}}
{{- define "offsite.podSecurity" -}}
{{- $context := deepCopy (index . 1) -}}
{{- if eq (index . 0).Values.userIds "cluster" }}{{ $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}{{ end -}}
{{- toYaml $context }}
{{- end }}

{{- /* A container's variables, ours and those of values; (list ours values): a name in both is as values say. */ -}}
{{- define "offsite.env" -}}
{{- $names := dict -}}
{{- range index . 1 }}{{ $_ := set $names .name true }}{{ end -}}
{{- $kept := list -}}
{{- range index . 0 }}{{ if not (hasKey $names .name) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- with concat $kept (index . 1) }}{{ toYaml . }}{{ end }}
{{- end }}

{{- /* Fields of a Service's spec that say by which IP it is reached. */ -}}
{{- define "offsite.ipFamilies" -}}
{{- with .Values.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}

{{- /* The volume with the authorities of caBundle. */ -}}
{{- define "offsite.caVolume" -}}
{{- $items := list (dict "key" .Values.caBundle.key "path" "ca.crt") -}}
{{- if .Values.caBundle.configMap -}}
{{- toYaml (list (dict "name" "ca-bundle" "configMap" (dict "name" .Values.caBundle.configMap "items" $items))) }}
{{- else if .Values.caBundle.secret -}}
{{- toYaml (list (dict "name" "ca-bundle" "secret" (dict "secretName" .Values.caBundle.secret "items" $items "defaultMode" 288))) }}
{{- end }}
{{- end }}

{{- define "offsite.caMount" -}}
- name: ca-bundle
  mountPath: /etc/offsite/ca
  readOnly: true
{{- end }}

{{- /* nodeSelector, tolerations, affinity and priority class of a pod; (list values). */ -}}
{{- define "offsite.scheduling" -}}
{{- $where := dict -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" -}}
{{- with index $ $field }}{{ $_ := set $where $field . }}{{ end -}}
{{- end -}}
{{- if $where }}{{ toYaml $where }}{{ end }}
{{- end }}

{{- define "offsite.natsUrl" -}}
{{- if eq .Values.nats.mode "embedded" -}}
{{ ternary "tls" "nats" (ne .Values.nats.tls.secretName "") }}://{{ include "offsite.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{- required "nats.external.url is needed with nats.mode external, such as nats://nats.nats-system.svc:4222" .Values.nats.external.url }}
{{- end }}
{{- end }}

{{- /* Nothing, where an external NATS asks for no credentials. */ -}}
{{- define "offsite.natsAuthSecret" -}}
{{- $ours := ternary (printf "%s-nats-auth" (include "offsite.fullname" .)) "" (eq .Values.nats.mode "embedded") -}}
{{- default $ours .Values.nats.authSecret }}
{{- end }}

{{- /* What the chart's values say of worker pods, as a pod template; (list values pullSecrets). */ -}}
{{- define "offsite.workerDefaults" -}}
{{- $values := index . 0 -}}
{{- $spec := include "offsite.scheduling" $values | fromYaml -}}
{{- with index . 1 }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- with $values.deviceGroups }}{{ $_ := set $spec "securityContext" (dict "supplementalGroups" .) }}{{ end -}}
{{- with $values.resources }}{{ $_ := set $spec "containers" (list (dict "name" "worker" "resources" .)) }}{{ end -}}
{{- $metadata := dict -}}
{{- with $values.labels }}{{ $_ := set $metadata "labels" . }}{{ end -}}
{{- with $values.annotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
{{- $template := dict -}}
{{- with $metadata }}{{ $_ := set $template "metadata" . }}{{ end -}}
{{- with $spec }}{{ $_ := set $template "spec" . }}{{ end -}}
{{- toJson $template }}
{{- end }}

{{- /* What the release's surroundings ask of worker pods: users, proxies, authorities. */ -}}
{{- define "offsite.workerSurroundings" -}}
{{- $spec := dict -}}
{{- $worker := dict "name" "worker" -}}
{{- $env := list -}}
{{- if eq .Values.userIds "cluster" }}{{ $_ := set $spec "securityContext" (fromJson `{"runAsUser":null,"runAsGroup":null,"fsGroup":null}`) }}{{ end -}}
{{- range $name, $value := dict "HTTPS_PROXY" .Values.proxy.https "HTTP_PROXY" .Values.proxy.http "NO_PROXY" .Values.proxy.except -}}
{{- with $value }}{{ $env = append $env (dict "name" $name "value" .) }}{{ end -}}
{{- end -}}
{{- with include "offsite.caVolume" . | fromYamlArray }}
{{- $_ := set $spec "volumes" . }}
{{- $_ := set $worker "volumeMounts" (include "offsite.caMount" $ | fromYamlArray) }}
{{- $env = append $env (dict "name" "NODE_EXTRA_CA_CERTS" "value" "/etc/offsite/ca/ca.crt") }}
{{- end -}}
{{- with $env }}{{ $_ := set $worker "env" . }}{{ end -}}
{{- if gt (len $worker) 1 }}{{ $_ := set $spec "containers" (list $worker) }}{{ end -}}
{{- toJson (ternary (dict "spec" $spec) dict (ne (len $spec) 0)) }}
{{- end }}

{{- /* Pod templates under every resource's own, each over those before it: the operator merges lists by name. */ -}}
{{- define "offsite.workerTemplates" -}}
{{- $templates := list -}}
{{- range list (include "offsite.workerSurroundings" . | fromJson) .Values.worker.template (include "offsite.workerDefaults" (list .Values.worker .Values.worker.imagePullSecrets) | fromJson) -}}
{{- with . }}{{ $templates = append $templates . }}{{ end -}}
{{- end -}}
{{- toJson $templates }}
{{- end }}

{{- /* The labels that the operator gives to every worker pod. */ -}}
{{- define "offsite.workerSelector" -}}
app.kubernetes.io/managed-by: offsite-operator
app.kubernetes.io/component: worker
{{- end }}
