//! SF10xx: what must agree between the nodes of a group.

use super::code::family;

family! {
    /// What must agree between the nodes of a group, and does not.
    Pair {
        RouterId = "SF1001" "pair-router-id":
            "Two nodes hold the same addresses under different virtual router ids. Neither hears the other as a member of its group, so both become MASTER and both hold the addresses.";
        AddressList = "SF1002" "pair-addresses":
            "The nodes of a group list different virtual addresses. After a failover some of them are held by nobody, or by two. Keepalived 2.2 also rejects adverts whose list differs from its own, so that both nodes become MASTER; 2.4 only logs it.";
        Interval = "SF1003" "pair-interval":
            "The advertisement intervals differ. In version 2 a node drops adverts with another interval, so both become MASTER. In version 3 a BACKUP adopts the interval of the MASTER, and the group works with that of whoever is MASTER.";
        Version = "SF1004" "pair-version":
            "One node speaks version 2 and the other version 3. They ignore each other, so both become MASTER.";
        Authentication = "SF1005" "pair-authentication":
            "The nodes do not authenticate in the same way or with the same secret, so they drop each other's adverts and both become MASTER.";
        Checksum = "SF1006" "pair-checksum":
            "The nodes compute the checksum of version 3 differently, with and without the pseudo-header, so one drops what the other sends.";
        Transport = "SF1007" "pair-transport":
            "One node sends to a multicast group and the other to unicast peers, or they use different groups. They do not hear each other, so both become MASTER.";
        Peers = "SF1008" "pair-peers":
            "A node is not among the unicast peers of another: it gets no adverts from it and becomes MASTER beside it.";
        EqualPriority = "SF1009" "pair-equal-priority":
            "Two nodes have the same priority. Then the higher address wins, which is nothing that anybody decided; give the node that should hold the addresses the higher priority.";
        TwoOwners = "SF1010" "pair-two-owners":
            "Two nodes have priority 255. Only one machine can own an address; an owner never yields, so both hold it.";
        Preemption = "SF1011" "pair-preemption":
            "One node preempts and the other does not. What happens after a repair depends on which of them was repaired.";
        OnlyHere = "SF1012" "pair-only-here":
            "A virtual router exists on one node only, so nobody takes over from it.";
        SyncGroup = "SF1013" "pair-sync-group":
            "Virtual routers that move together on one node do not on the other, so after a failover they can be on different nodes.";
        SameRouterId = "SF1014" "pair-shared-router-id":
            "Two nodes use the same virtual router id for different addresses. If they share a network they take each other for members of one group: one of them gives its addresses up.";
        DownTimer = "SF1015" "pair-down-timer":
            "The nodes wait for a different number of adverts before they take over.";
    }
}
