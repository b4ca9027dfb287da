{{/* Labels of one service's objects; the first two select its pods. Takes (list name root). */}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ index . 0 }}
app.kubernetes.io/instance: {{ (index . 1).Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/part-of: lakeloom
app.kubernetes.io/managed-by: {{ (index . 1).Release.Service }}
{{- end }}

{{/* An image, from `registry` unless it names its host: a first part with a dot or a port. Takes (list image root). */}}
{{- define "image" -}}
{{- if not (regexMatch "^([^/]*[.:][^/]*|localhost)/" (index . 0)) }}{{ (index . 1).Values.registry }}{{ end -}}
{{ index . 0 }}
{{- end }}

{{/* A pod of nobody's: takes the user's number. */}}
{{- define "podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A claim called `data`. Takes (list size root). */}}
{{- define "claim" -}}
- metadata:
    name: data
  spec:
    accessModes: [ReadWriteOnce]
    {{- with (index . 1).Values.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ index . 0 }}
{{- end }}

{{/* One port of one service. Takes a dict: name, root, port, and portName unless it is `http`. */}}
{{- define "service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "labels" (list .name .root) | nindent 4 }}
spec:
  selector:
    {{- include "selector" (list .name .root) | nindent 4 }}
  ports:
    - name: {{ .portName | default "http" }}
      port: {{ .port }}
      targetPort: {{ .portName | default "http" }}
{{- end }}

{{/* A variable whose value is a secret's. Takes (list variable secret key). */}}
{{- define "secretly" -}}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}}
{{- end }}

{{/* The volume of deploy/access, with its folders. */}}
{{- define "access" -}}
- name: access
  configMap:
    name: access
    items:
      {{- range $path, $_ := .Files.Glob "access/**" }}
      - {key: {{ base $path }}, path: {{ trimPrefix "access/" $path }}}
      {{- end }}
{{- end }}

{{/* The volume of the instance file for those that run nothing. */}}
{{- define "storage" -}}
- name: dagster
  configMap: {name: access, items: [{key: dagster.yaml, path: dagster.yaml}]}
{{- end }}

{{/* The template of a Ray pod. Takes a dict: root, name, resources, ports, gpus. */}}
{{- define "rayPod" }}
{{- $root := .root }}
metadata:
  labels:
    {{- include "labels" (list "ray" $root) | nindent 4 }}
spec:
  {{- if not .ports }}
  automountServiceAccountToken: false
  {{- end }}
  securityContext:
    {{- include "podSecurity" 10001 | nindent 4 }}
  {{- if .gpus }}
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "image" (list $root.Values.image $root) }}
      envFrom:
        - configMapRef: {name: lakeloom-settings}
        - secretRef: {name: {{ $root.Values.secrets.runner }}}
      env:
        - {name: RAY_USAGE_STATS_ENABLED, value: "0"}
      {{- with .ports }}
      ports:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "containerSecurity" $root | nindent 8 }}
      resources:
        requests:
          {{- toYaml .resources.requests | nindent 10 }}
        limits:
          {{- toYaml .resources.limits | nindent 10 }}
          {{- with .gpus }}
          nvidia.com/gpu: {{ . | quote }}
          {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: home, mountPath: /var/lib/lakeloom}
        - {name: shm, mountPath: /dev/shm}
  volumes:
    - name: tmp
      emptyDir: {}
    - name: home
      emptyDir: {}
    # Ray's object store; counts as the container's memory.
    - name: shm
      emptyDir: {medium: Memory}
{{- end }}
