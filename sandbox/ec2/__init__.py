"""EC2 as the controller meets it: a deterministic model (`Ec2World`) and an HTTP server in front of it for any SDK.
Knows EC2's rules and nothing of the product's decisions."""

from sandbox.ec2.behaviour import Bucket, Denial, Ec2Behaviour, FaultRule
from sandbox.ec2.errors import Ec2ConnectionReset, Ec2Fault
from sandbox.ec2.journal import Call, Journal, Step
from sandbox.ec2.limits import InstanceLimits, load_limits
from sandbox.ec2.seed import GroupSeed, NodeSeed, Seed, SubnetSeed, read_seed
from sandbox.ec2.world import Ec2World, Outcome

__all__ = [
    "Ec2World",
    "Outcome",
    "Ec2Behaviour",
    "Bucket",
    "Denial",
    "FaultRule",
    "Ec2Fault",
    "Ec2ConnectionReset",
    "Journal",
    "Call",
    "Step",
    "InstanceLimits",
    "load_limits",
    "Seed",
    "SubnetSeed",
    "GroupSeed",
    "NodeSeed",
    "read_seed",
]
