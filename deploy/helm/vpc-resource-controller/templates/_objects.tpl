{{/* The objects of a file of manifests, as {"objects": [...]}. Takes a list: root, the file's path below files/. */}}
{{- define "vpc-rc.read" -}}
{{- $objects := list }}
{{- range splitList "\n---\n" (required (printf "files/%s is not in the chart" (index . 1)) ((index . 0).Files.Get (printf "files/%s" (index . 1)))) }}
{{- with fromYaml (printf "%s\n" .) }}{{ $objects = append $objects . }}{{ end }}
{{- end }}
{{- dict "objects" $objects | toYaml }}
{{- end }}

{{/* One object as a document, with our label. Objects of a namespace go to the release's. */}}
{{- define "vpc-rc.write" -}}
{{- $labels := dict "app.kubernetes.io/part-of" "vpc-resource-controller" }}
{{- $_ := set .metadata "labels" (merge (.metadata.labels | default dict) $labels) }}
---
{{ toYaml . }}
{{ end }}

{{- define "vpc-rc.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "vpc-rc.settings" -}}
{{- $given := dict "VPC_RC_CLUSTER_NAME" .Values.clusterName "VPC_RC_VPC_ID" .Values.vpcId }}
{{- if .Values.region }}{{ $_ := set $given "VPC_RC_AWS_REGION" .Values.region }}{{ end }}
{{- merge $given .Values.settings | toYaml }}
{{- end }}

{{/* What a workload's values change in it. Takes a list: root, the object, the values of its part. What its pods read at
start is in an annotation: when it changes, they start again. */}}
{{- define "vpc-rc.workload" -}}
{{- $root := index . 0 }}{{ $object := index . 1 }}{{ $values := index . 2 }}
{{- $spec := $object.spec }}{{ $pod := $spec.template.spec }}{{ $container := index $pod.containers 0 }}
{{- if eq $container.image "vpc-resource-controller" }}{{ $_ := set $container "image" (include "vpc-rc.image" $root) }}{{ end }}
{{- if hasKey $values "replicas" }}{{ $_ := set $spec "replicas" $values.replicas }}{{ end }}
{{- with $values.resources }}{{ $_ := set $container "resources" . }}{{ end }}
{{- with $values.nodeSelector }}{{ $_ := set $pod "nodeSelector" (merge . $pod.nodeSelector) }}{{ end }}
{{- with $values.tolerations }}{{ $_ := set $pod "tolerations" (concat ($pod.tolerations | default list) .) }}{{ end }}
{{- with $values.affinity }}{{ $_ := set $pod "affinity" . }}{{ end }}
{{- with $values.env }}{{ $_ := set $container "env" (concat ($container.env | default list) .) }}{{ end }}
{{- with $values.volumes }}{{ $_ := set $pod "volumes" (concat $pod.volumes .) }}{{ end }}
{{- with $values.volumeMounts }}{{ $_ := set $container "volumeMounts" (concat $container.volumeMounts .) }}{{ end }}
{{- with $root.Values.imagePullSecrets }}{{ $_ := set $pod "imagePullSecrets" . }}{{ end }}
{{- $read := printf "%s%s" (include "vpc-rc.settings" $root) (toYaml $root.Values.redis.credentials) | sha256sum }}
{{- $annotations := dict "vpc-rc/settings-and-credentials" $read }}
{{- $template := $spec.template.metadata }}
{{- $_ := set $template "annotations" (merge $annotations ($values.podAnnotations | default dict) ($template.annotations | default dict)) }}
{{- end }}
