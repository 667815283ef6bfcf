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
{{- $default := ternary (printf "%s-operator" (include "offsite.fullname" .)) "default" .Values.operator.serviceAccount.create }}
{{- default $default .Values.operator.serviceAccount.name }}
{{- end }}

{{- /* Labels that select; (list . "component"). */ -}}
{{- define "offsite.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "offsite.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* All labels of an object; (list . "component"). */ -}}
{{- define "offsite.labels" -}}
{{- $root := index . 0 -}}
{{- $own := include "offsite.selector" . | fromYaml -}}
{{- $own = merge $own (dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service "app.kubernetes.io/part-of" "offsite-tuning" "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version)) -}}
{{- toYaml (merge $own $root.Values.commonLabels) }}
{{- end }}

{{- /* name, namespace, labels and annotations; (list . "component" "name"). */ -}}
{{- define "offsite.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
{{ include "offsite.clusterMetadata" . }}
{{- end }}

{{- /* labels and annotations alone; (list . "component"). */ -}}
{{- define "offsite.clusterMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "offsite.labels" (list $root (index . 1)) | nindent 2 }}
{{- with $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
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

{{- /* What Pod Security `restricted` asks of a pod, and what is asked of a container. */ -}}
{{- define "offsite.podSecurity" -}}
{{- $ours := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $ours (deepCopy .)) }}
{{- end }}

{{- define "offsite.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
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
nats://{{ include "offsite.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{- required "nats.external.url is needed with nats.mode external, such as nats://nats.nats-system.svc:4222" .Values.nats.external.url }}
{{- end }}
{{- end }}

{{- /* Nothing, where an external NATS asks for no credentials. */ -}}
{{- define "offsite.natsAuthSecret" -}}
{{- $ours := ternary (printf "%s-nats-auth" (include "offsite.fullname" .)) "" (eq .Values.nats.mode "embedded") -}}
{{- default $ours .Values.nats.authSecret }}
{{- end }}

{{- /* A pod template of defaults for worker pods; (list base values pullSecrets). */ -}}
{{- define "offsite.workerTemplate" -}}
{{- $values := index . 1 -}}
{{- $spec := include "offsite.scheduling" $values | fromYaml -}}
{{- with index . 2 }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- with $values.resources }}{{ $_ := set $spec "containers" (list (dict "name" "worker" "resources" .)) }}{{ end -}}
{{- $metadata := dict -}}
{{- with $values.labels }}{{ $_ := set $metadata "labels" . }}{{ end -}}
{{- with $values.annotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
{{- $template := deepCopy (index . 0) -}}
{{- if $metadata }}{{ $template = mergeOverwrite $template (dict "metadata" $metadata) }}{{ end -}}
{{- if $spec }}{{ $template = mergeOverwrite $template (dict "spec" $spec) }}{{ end -}}
{{- toJson $template }}
{{- end }}

{{- /* The labels that the operator gives to every worker pod. */ -}}
{{- define "offsite.workerSelector" -}}
app.kubernetes.io/managed-by: offsite-operator
app.kubernetes.io/component: worker
{{- end }}
