{{- define "tricenter.namespace" -}}
{{- default .Release.Namespace .Values.namespace -}}
{{- end -}}

{{- define "tricenter.selector" -}}
app.kubernetes.io/name: tricenter-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tricenter.labels" -}}
{{ include "tricenter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
tricenter.dev/center: {{ .Values.center }}
{{- end -}}
