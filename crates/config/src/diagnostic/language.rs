//! SF03xx: keywords, their arguments, and what they mean together.

use super::code::family;

family! {
    /// Keywords, their arguments, and what they mean together.
    Language {
        UnknownKeyword = "SF0301" "unknown-keyword":
            "The word is no keyword of this block. The line is ignored, with the whole block that it opens if it opens one. (Keepalived takes the end of an unknown block for the end of the block round it, so everything after it is lost there.)";
        MissingArgument = "SF0302" "missing-argument":
            "The keyword needs an argument and has none. Keepalived stops at once with status 2.";
        BadNumber = "SF0303" "bad-number":
            "The argument is not a number, or something is glued to the number. The line is ignored and the default stays.";
        OutOfRange = "SF0304" "out-of-range":
            "The number is outside the range of the keyword. The line is ignored and the default stays.";
        BadBoolean = "SF0305" "bad-boolean":
            "The argument is not one of on, off, true, false, yes, no, in lower case. The line is ignored.";
        UnknownWord = "SF0306" "unknown-word":
            "The argument is not one of the words that the keyword knows.";
        BadAddress = "SF0307" "bad-address":
            "The argument is not an IP address, or not one of the family that is needed. The line is ignored. Host names are not looked up.";
        TooLong = "SF0308" "too-long":
            "The text is longer than what it is for can be: the name of an interface or a process has at most 15 bytes.";
        Deprecated = "SF0309" "deprecated-keyword":
            "The keyword still works, and has been replaced by another.";
        DuplicateName = "SF0310" "duplicate-name":
            "Two blocks of one kind have the same name. The second is ignored.";
        UnknownName = "SF0311" "unknown-name":
            "Nothing of this name is defined. The reference is ignored: what should be tracked is not tracked.";
        DefinedLater = "SF0312" "defined-later":
            "The name is defined further down. Keepalived reads from top to bottom and ignores a reference to what it has not seen, so what should be tracked is not tracked. Move the definition up.";
        Incomplete = "SF0313" "incomplete-block":
            "The block misses something that nothing can replace, so the block as a whole is not used.";
        Conflict = "SF0314" "conflicting-settings":
            "Two settings exclude each other. One of them is dropped.";
        Strict = "SF0315" "strict-mode":
            "vrrp_strict demands something else than what is written, and wins.";
        NoEffect = "SF0316" "no-effect":
            "What is written here has no effect.";
        Rounded = "SF0317" "rounded":
            "The value is more precise than what the protocol or the kernel can express, and is rounded.";
        UnknownOption = "SF0318" "unknown-option":
            "The word is no option of such a line. It is ignored.";
        DuplicateEntry = "SF0319" "duplicate-entry":
            "The same thing is listed twice. The second is ignored.";
        FamilyMismatch = "SF0320" "family-mismatch":
            "IPv4 and IPv6 are mixed where only one of them can be. The first address decides which; list addresses of the other family under virtual_ipaddress_excluded or in an instance of their own.";
        PasswordTruncated = "SF0321" "password-truncated":
            "auth_pass counts only up to its eighth byte, because that is all that a packet holds. Two passwords that begin alike are the same.";
        BlockExpected = "SF0322" "block-expected":
            "The keyword opens a block, and the next line belongs to the block round it, so that no block was begun. The line is ignored.";
        BlockUnexpected = "SF0323" "block-unexpected":
            "The keyword opens no block, and a { follows it. What stands between the braces is ignored.";
        BadCommand = "SF0324" "bad-command":
            "The command cannot be split into words because a quote in it is not closed.";
        ExtraWords = "SF0325" "extra-words":
            "There are more words than the keyword takes. They are ignored.";
        DuplicateVrid = "SF0326" "duplicate-vrid":
            "Two instances of one family have the same virtual router id on the same interface, so that nobody can tell their adverts apart. The second stays in FAULT.";
        DefaultUsed = "SF0327" "default-used":
            "Something important is not written, and the default is rarely what is wanted.";
        BadSyntax = "SF0328" "bad-line":
            "The line does not have the shape that lines of this block have. It is ignored.";
        AssignedPriority = "SF0329" "rule-without-priority":
            "A rule without priority gets one, counting down from 16384. Write the priority: the order of rules decides what they do.";
        NotActedOn = "SF0330" "not-acted-on":
            "The keyword is read and checked, and the present daemon does not act on it yet.";
    }
}
