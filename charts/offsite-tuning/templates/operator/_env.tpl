{{- /* How the operator is to run. */ -}}
{{- define "offsite.operatorEnv" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: OFFSITE_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: OFFSITE_LEADER_ELECTION
  value: "true"
- name: OFFSITE_LEASE_NAME
  value: {{ include "offsite.fullname" . }}-operator
- name: OFFSITE_METRICS_PORT
  value: {{ .Values.operator.port | quote }}
- name: OFFSITE_CONCURRENCY
  value: {{ .Values.operator.concurrency | quote }}
- name: LOG_LEVEL
  value: {{ .Values.operator.logLevel }}
- name: OFFSITE_NATS_URL
  value: {{ include "offsite.natsUrl" . | quote }}
- name: OFFSITE_NATS_AUTH_SECRET
  value: {{ include "offsite.natsAuthSecret" . | quote }}
{{- /* A $(NAME) in a pod template is the pod's: the kubelet makes $ of $$, and would make the operator's own value of it. */}}
- name: OFFSITE_WORKER_IMAGE
  value: {{ include "offsite.ownImage" (list . .Values.worker.image) }}
{{- range $provider := list "cuda" "webgpu" }}
{{- $gpu := index $.Values.worker $provider }}
- name: OFFSITE_WORKER_{{ upper $provider }}_IMAGE
  value: {{ include "offsite.ownImage" (list $ $gpu.image) }}
- name: OFFSITE_WORKER_{{ upper $provider }}_GPU
  value: {{ $gpu.gpu | quote }}
- name: OFFSITE_WORKER_{{ upper $provider }}_TEMPLATE
  value: {{ include "offsite.workerDefaults" (list $gpu list) | replace "$" "$$" | quote }}
{{- end }}
- name: OFFSITE_WORKER_IMAGE_PULL_POLICY
  value: {{ .Values.worker.image.pullPolicy }}
- name: OFFSITE_WORKER_HTTPS_HOSTS
  value: {{ join "," .Values.worker.httpsHosts | quote }}
{{- $allowed := list }}
{{- range $power, $yes := .Values.worker.allowInTemplates }}{{ if $yes }}{{ $allowed = append $allowed $power }}{{ end }}{{ end }}
- name: OFFSITE_WORKER_ALLOW_IN_TEMPLATES
  value: {{ join "," $allowed | quote }}
- name: OFFSITE_WORKER_MEMORY_LIMIT
  value: {{ .Values.worker.limitFactors.memory | quote }}
- name: OFFSITE_WORKER_STORAGE_LIMIT
  value: {{ .Values.worker.limitFactors.ephemeralStorage | quote }}
- name: OFFSITE_WORKER_TEMPLATE
  value: {{ include "offsite.workerTemplates" . | replace "$" "$$" | quote }}
{{- if include "offsite.caVolume" . }}
- name: NODE_EXTRA_CA_CERTS
  value: /etc/offsite/ca/ca.crt
{{- end }}
{{- if .Values.nats.tls.secretName }}
- name: NATS_CA
  value: /etc/offsite/nats-ca/ca.crt
{{- end }}
{{- end }}
