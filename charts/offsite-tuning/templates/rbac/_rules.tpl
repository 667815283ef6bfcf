{{- /* What the operator does in the namespaces that it watches; each line is used. */ -}}
{{- define "offsite.operatorRules" -}}
{{- $kinds := .Files.Get "files/kinds.json" | fromJson }}
# It reads the resources and never changes what users wrote.
- apiGroups: [offsite-tuning.dev]
  resources: {{ toJson $kinds.resources }}
  verbs: [list, watch]
- apiGroups: [offsite-tuning.dev]
  resources: {{ toJson $kinds.statuses }}
  verbs: [patch]
# Jobs and Secrets of a run are owned by its resource, also where owners are enforced.
- apiGroups: [offsite-tuning.dev]
  resources: {{ toJson $kinds.finalizers }}
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# How a pod ended, and whether a claim can be mounted by several.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
# A run's NATS credentials: written once, never read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
# To tell what happens, and to read why a Job has no pods or a pod no container.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, get, list, patch]
{{- end }}
