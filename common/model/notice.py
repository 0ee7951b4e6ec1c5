"""Things to tell people, as Kubernetes events."""

from enum import StrEnum

import msgspec

from common.model.ids import NodeName, PodUid


class Severity(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


class EventReason(StrEnum):
    """The one list of reasons of events. People's alarms and scripts depend on them: those of the reference keep its
    meaning, and docs/operations.md documents each."""

    # On pods.
    SECURITY_GROUP_REQUESTED = "SecurityGroupRequested"
    RESOURCE_ALLOCATED = "ResourceAllocated"
    BRANCH_ALLOCATION_FAILED = "BranchAllocationFailed"
    BRANCH_ENI_ANNOTATION_FAILED = "BranchENIAnnotationFailed"
    RESOURCE_ALLOCATION_FAILED = "ResourceAllocationFailed"
    BRANCH_CAPACITY_REACHED = "BranchCapacityReached"
    NO_FREE_VLAN = "NoFreeVlan"
    WAITING_FOR_NODE = "WaitingForNode"
    BRANCH_INTERFACE_MISSING = "BranchInterfaceMissing"
    ADDRESS_MISSING = "AddressMissing"
    ADDRESS_SHARED = "AddressShared"
    ANNOTATION_NOT_VERIFIED = "AnnotationNotVerified"
    POD_ANNOTATION_MALFORMED = "PodAnnotationMalformed"
    SECURITY_GROUPS_NOT_APPLIED = "SecurityGroupsNotApplied"
    # On nodes.
    CONTROLLER_VERSION_NOTICE = "ControllerVersionNotice"
    NODE_TRUNK_INITIATED = "NodeTrunkInitiated"
    NODE_TRUNK_FAILED_INIT = "NodeTrunkFailedInit"
    NO_FREE_DEVICE_INDEX = "NoFreeDeviceIndex"
    TRUNK_ENI_CREATION_FAILED = "TrunkENICreationFailed"
    UNSUPPORTED = "Unsupported"
    INSUFFICIENT_CIDR_BLOCKS = "InsufficientCidrBlocks"
    ADDRESS_ASSIGNMENT_FAILED = "AddressAssignmentFailed"
    ENI_CONFIG_NAME_NOT_FOUND = "EniConfigNameNotFound"
    INSTANCE_NOT_FOUND = "InstanceNotFound"
    TRUNK_INTERFACE_MISSING = "TrunkInterfaceMissing"
    INSTANCE_SHARED = "InstanceShared"
    TRUNK_SUBNET_DIFFERS = "TrunkSubnetDiffers"
    TRUNK_GROUPS_NOT_CHANGED = "TrunkGroupsNotChanged"
    INVALID_TAG = "InvalidTag"
    UNAVAILABLE = "Unavailable"
    AVAILABLE_AGAIN = "AvailableAgain"
    LEDGER_SET_ASIDE = "LedgerSetAside"
    RECONCILE_FAILED = "ReconcileFailed"
    BRANCH_ENI_COOL_DOWN_PERIOD_UPDATED = "BranchENICoolDownPeriodUpdated"
    CNI_NODE_CREATION_FAILED = "CNINodeCreationFailed"
    # On other objects.
    CNI_NODE_DELETION_FAILED = "CNINodeDeletionFailed"
    INVALID_POLICY = "InvalidPolicy"
    GROUPS_CHANGED = "GroupsChanged"
    OBJECT_NOT_UNDERSTOOD = "ObjectNotUnderstood"
    INVALID_CONFIGURATION = "InvalidConfiguration"


class NodeNotice(msgspec.Struct, frozen=True, kw_only=True, tag="node"):
    """An event on a Node. Its involved object's uid is the node's *name*, as the kubelet's, so that
    `kubectl describe node` shows it; it lives in namespace `default`."""

    node: NodeName
    reason: EventReason
    message: str
    severity: Severity = Severity.NORMAL


class PodNotice(msgspec.Struct, frozen=True, kw_only=True, tag="pod"):
    """An event on a Pod."""

    namespace: str
    name: str
    uid: PodUid
    reason: EventReason
    message: str
    severity: Severity = Severity.NORMAL


class CniNodeNotice(msgspec.Struct, frozen=True, kw_only=True, tag="cninode"):
    """An event on a CNINode (cluster scoped: it lives in namespace `default`)."""

    name: NodeName
    uid: str
    reason: EventReason
    message: str
    severity: Severity = Severity.NORMAL


class PolicyNotice(msgspec.Struct, frozen=True, kw_only=True, tag="policy"):
    """An event on a SecurityGroupPolicy."""

    namespace: str
    name: str
    uid: str
    reason: EventReason
    message: str
    severity: Severity = Severity.NORMAL


Notice = NodeNotice | PodNotice | CniNodeNotice | PolicyNotice
