//! SF04xx to SF09xx, SF11xx: what no single line shows, and what the surroundings say.

use super::code::family;

family! {
    /// SF04xx: names that do not fit together.
    Names {
        Unused = "SF0401" "unused-name":
            "Something is defined and nothing refers to it: a script that no instance tracks is never run, a group that no virtual server uses serves nobody. Often the reference is misspelt, or was forgotten.";
        SharedAddress = "SF0402" "shared-address":
            "Two virtual routers hold the same address. Whichever becomes MASTER later takes it from the other, on the same machine or on another, and both believe to have it.";
    }
}

family! {
    /// SF05xx: who becomes MASTER, and when.
    Election {
        WeightWithoutPreemption = "SF0501" "weight-with-nopreempt":
            "A weight lowers or raises the priority, and with nopreempt a priority alone never moves the MASTER: a node whose weighted priority falls stays MASTER, and the others, nopreempt too, do not take over. This is the most common disappointment with Keepalived. Weight 0 (the default of a script) puts the node into FAULT instead, and then another takes over.";
        WeightClamped = "SF0502" "weight-without-effect":
            "The priority that results from a weight is kept between 1 and 254, so beyond that the weight changes nothing.";
        WeightCannotDecide = "SF0503" "weight-cannot-decide":
            "Even if everything with a weight fails on the node with the highest priority and nothing on the others, it still has the highest priority: the tracking can never move the addresses. The sum of the weights must be greater than the difference of the priorities.";
        MasterWithoutPriority = "SF0504" "state-master-without-priority":
            "`state MASTER` without a priority makes the node the owner of the addresses with priority 255: it takes over at once when it starts, ignores weights and cannot be outvoted. If that is not meant, write a priority below 255.";
        SyncGroupTiming = "SF0505" "sync-group-differs":
            "Members of a sync group move together, so they should agree: with different advertisement intervals or preemption the slowest member decides for all.";
        SlowAdverts = "SF0506" "slow-adverts":
            "The MASTER is missed only after three intervals and the skew. With this interval a failover takes that long.";
    }
}

family! {
    /// SF06xx: addresses, masks and peers.
    Addresses {
        NoMask = "SF0601" "no-mask":
            "A virtual address without a prefix length becomes a host address, /32 or /128. That is right for a VIP within a subnet that the interface already has, and Keepalived does the same; written out, nobody has to know.";
        OutsideSubnets = "SF0602" "outside-subnets":
            "The virtual address lies in no subnet of its interface. Neighbours ask for an address by ARP only within a subnet of theirs, so unless they route to it they cannot reach it.";
        MaskDiffers = "SF0603" "mask-differs":
            "The prefix length of the virtual address is not that of the interface's subnet. With a shorter one the kernel gets a second route for other machines' addresses while this node is MASTER.";
        NotAHost = "SF0604" "not-a-host-address":
            "The virtual address is the network address or the broadcast address of its subnet: no host can use it.";
        OwnAddress = "SF0605" "vip-is-own-address":
            "The interface has the virtual address already, by itself. Then it is not virtual: another node that becomes MASTER takes it too, and both have it. Only the owner, priority 255, may have it.";
        OwnPeer = "SF0606" "own-address-among-peers":
            "One of the unicast peers is this node itself. Its adverts go to itself and are ignored. A file that is the same on all nodes can leave itself out with `@^ID` lines.";
        NoInterface = "SF0607" "no-such-interface":
            "The interface does not exist on this machine. Keepalived refuses to start the instance unless dynamic_interfaces is set.";
        SourceMissing = "SF0608" "source-not-present":
            "The source address is on none of this machine's interfaces. Adverts with it would be sent, and answers to it go elsewhere.";
        LinkLocalFirst = "SF0609" "first-not-link-local":
            "RFC 9568 §5.2.9 demands that the first IPv6 address of a virtual router is a link-local one, since hosts use that as the router's address.";
        SpecialAddress = "SF0610" "special-address":
            "The address is a multicast, loopback, unspecified or broadcast address, which no virtual router can hold.";
    }
}

family! {
    /// SF07xx: scripts.
    Scripts {
        NotRunnable = "SF0701" "script-not-runnable":
            "The script cannot be run: it is missing, not executable for its user, or no user for it exists. Keepalived drops a tracked script of this kind, and then what it should guard is not guarded; a notify script is dropped with a line in the log.";
        NoSecurity = "SF0702" "no-script-security":
            "A script is run as root and enable_script_security is not set. If anybody but root can change the script or a directory above it, he can become root. Set `script_user` to a user without privileges, or set `enable_script_security`, which refuses such scripts.";
        Insecure = "SF0703" "insecure-script":
            "Root runs a script that somebody else may change, or replace through a directory above it.";
        Relative = "SF0704" "relative-script":
            "The path of the script does not start with a slash, so it depends on the directory in which the daemon was started, which for a service is /.";
        ShellSyntax = "SF0705" "shell-syntax":
            "Scripts are started directly, not by a shell. Words such as `|`, `&&`, `>` or `$HOME` go to the program as they are. Put the line into a script file, or write /bin/sh -c '…'.";
        Unknown = "SF0706" "script-remark":
            "A remark on how the script is found or run.";
        Timeout = "SF0707" "script-timeout":
            "The script may run longer than its interval. Keepalived does not start it again while it runs, so failures are noticed later than the interval says.";
    }
}

family! {
    /// SF08xx: words that look wrong.
    Wording {
        Placeholder = "SF0801" "placeholder":
            "A placeholder of a template or a tutorial was not replaced by a value.";
        Homoglyph = "SF0802" "foreign-letters":
            "A word mixes Latin letters with letters of another alphabet that look the same, as happens when text is copied or the keyboard is switched. To the program it is another word.";
        Fullwidth = "SF0803" "foreign-punctuation":
            "A punctuation mark of another script, such as a full-width comma or colon or a typographic quote, became part of a word. Only ASCII signs mean something here.";
        Punctuation = "SF0804" "trailing-punctuation":
            "A word ends with `;`, `,` or `=`, as in other configuration languages. Here it becomes part of the value.";
        SeveralKeywords = "SF0805" "keywords-on-one-line":
            "Several keywords stand on one line. Only the first counts; the others are taken for its arguments and ignored. Write each on a line of its own.";
        Equals = "SF0806" "equals-sign":
            "A value is not assigned by `=` or `:` in this language: it stands behind its keyword.";
    }
}

family! {
    /// SF09xx: surroundings: mail, secrets, strict mode, timing.
    Setup {
        NoRecipients = "SF0901" "mail-without-recipients":
            "Mail is asked for, and nobody is named who should get it, or no server that should take it. Nothing is sent.";
        MailUnused = "SF0902" "mail-unused":
            "Recipients or a mail server are configured and nothing asks for mail: `smtp_alert` is off by default for instances and virtual servers.";
        ReadableSecret = "SF0903" "readable-secret":
            "The file holds a password and everybody on this machine may read it.";
        WeakPassword = "SF0904" "weak-password":
            "This password is in every tutorial. It keeps apart groups on a wire that share a router id by accident, and nothing more; PASS is sent in clear anyway.";
        StrictSurprise = "SF0905" "strict-drops-traffic":
            "vrrp_strict switches accept mode off for every node that does not own the addresses, and a firewall rule drops what is sent to them: the VIP does not answer ping or TCP. The example configuration of Keepalived contains vrrp_strict, and this surprises most who copy it. Remove vrrp_strict, or set `accept` where version 3 is used.";
        NothingToRun = "SF0906" "nothing-to-run":
            "The configuration holds no virtual router, no virtual server and no BFD session: the daemon has nothing to do.";
    }
}

family! {
    /// SF11xx: virtual servers and health checks.
    Balancing {
        Unchecked = "SF1101" "unchecked-server":
            "A real server has no health check. When it dies it stays in the service, and its share of the connections fails.";
        Unverified = "SF1102" "unverified-certificate":
            "An SSL_GET check does not verify the server's certificate, as in Keepalived: any certificate will do, also an expired one that browsers refuse.";
        Thresholds = "SF1103" "thresholds-crossed":
            "lthreshold is above uthreshold, or there is no uthreshold. The kernel stops sending connections above uthreshold and begins again below lthreshold, and refuses a server for which that makes no sense: it never gets into the service.";
        SlowCheck = "SF1104" "slow-check":
            "A check may take longer than the interval at which it is due. Checks do not overlap, so a server that hangs is noticed later than delay_loop says.";
        Expression = "SF1105" "unusable-expression":
            "The regular expression cannot be used: a slip in it, or something that only PCRE knows. The check that needs it fails until it is mended.";
        Transport = "SF1106" "udp-service-checked-by-tcp":
            "Without `protocol` a service balances UDP, which surprises most people. All checks of this one use TCP, so TCP is probably what it should balance.";
        Twice = "SF1107" "virtual-server-twice":
            "Two blocks describe the same service of the kernel. It can have one scheduler, one quorum and one list of servers.";
    }
}
