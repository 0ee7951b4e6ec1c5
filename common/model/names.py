"""Keys and names that clusters, the VPC CNI and EC2 tags depend on. They never change."""

POD_ENI = "vpc.amazonaws.com/pod-eni"
"""Extended resource and pod annotation of branch interfaces."""
PRIVATE_IPV4 = "vpc.amazonaws.com/PrivateIPv4Address"
"""Extended resource and pod annotation of Windows addresses."""
FARGATE_GROUPS = "fargate.amazonaws.com/pod-sg"
FARGATE_PROFILE = "eks.amazonaws.com/fargate-profile"

LABEL_OS = "kubernetes.io/os"
LABEL_OS_BETA = "beta.kubernetes.io/os"
LABEL_TRUNK = "vpc.amazonaws.com/has-trunk-attached"
LABEL_ENI_CONFIG = "vpc.amazonaws.com/eniConfig"
LABEL_WARM_TARGET = "vpc.amazonaws.com/branch-eni-warm-target"
"""Ours: of a node, in place of the ConfigMap's number."""
LABEL_COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
COMPUTE_TYPE_AUTO = "auto"
MANAGED_BY_US = "vpc-resource-controller"
"""Value of a CNINode's `spec.managedBy`; an empty one means the same."""

FEATURE_POD_GROUPS = "SecurityGroupsForPods"
FEATURE_CUSTOM_NETWORKING = "CustomNetworking"
CNINODE_FINALIZER = "networking.k8s.aws/resource-cleanup"
CNINODE_CLUSTER_TAG = "cluster.k8s.amazonaws.com/name"
INSTANCE_TAG = "node.k8s.amazonaws.com/instance_id"

OWNER_TAG = "eks:eni:owner"
OWNER_OURS = "eks-vpc-resource-controller"
OWNER_VPC_CNI = "amazon-vpc-cni"
VLAN_TAG = "vpcresources.k8s.aws/vlan-id"
TRUNK_TAG = "vpcresources.k8s.aws/trunk-eni-id"
POD_UID_TAG = "vpcresources.k8s.aws/pod-uid"
TRUNK_DESCRIPTION = "aws-k8s-trunk-eni"
BRANCH_DESCRIPTION = "aws-k8s-branch-eni"

COMPONENT = "vpc-resource-controller"
CONFIG_MAP = "amazon-vpc-cni"
SYSTEM_NAMESPACE = "kube-system"
LEGACY_DEPLOYMENT = "vpc-resource-controller"


def cluster_tag(cluster: str) -> str:
    """The tag key that says an interface belongs to a cluster; its value is `owned`."""
    return f"kubernetes.io/cluster/{cluster}"
