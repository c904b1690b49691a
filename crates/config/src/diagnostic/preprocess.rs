//! SF02xx: files, includes, definitions, sequences and conditions.

use super::code::family;

family! {
    /// Files, includes, definitions, sequences and conditions.
    Preprocess {
        Unreadable = "SF0201" "unreadable":
            "The configuration file could not be read: it does not exist, permission is missing, or it is not a regular file without execute permission. Keepalived ends with status 6 when it is started like this; its -t prints a message and returns 0, which we do not imitate.";
        IncludeMissing = "SF0202" "include-missing":
            "An include names files that do not exist or cannot be read. A plain `include` goes on without them. `includer`, `includem`, `includew`, `includeb` and `includea`, the include_check setting and the option -e make this an error: -t returns 6 and the daemon does not start.";
        IncludeLoop = "SF0203" "include-loop":
            "A file includes itself, directly or through others. Keepalived reads it again and again until it runs out of file descriptors; we read it once.";
        IncludeLimit = "SF0204" "include-limit":
            "More files are included, or more deeply, than any real configuration needs. Reading stops there.";
        IncludeCheck = "SF0205" "include-check":
            "include_check takes the words read, match, wildcard_match and brace_match, each optionally with + or - before it. A word that is none of them is ignored.";
        DefinitionSyntax = "SF0206" "definition-syntax":
            "A line that looks like a definition, $NAME=VALUE, but is not one: no space may stand before the equals sign, and a name is made of letters, digits and underscores and does not start with a digit. The line is read as an ordinary line.";
        UndefinedName = "SF0207" "undefined-definition":
            "A $NAME or ${NAME} is used that no line above defines. It stays in the text as it is; with braces, Keepalived then takes the braces for a block. Definitions count from the line where they stand downwards. In a script's command the shell may be meant: then put the command in double quotes, or in a script file.";
        NotExpanded = "SF0208" "not-expanded":
            "A definition exists, but $NAME without braces is only expanded when white space or the end of the line follows. Before any other character write ${NAME}.";
        Recursion = "SF0209" "recursive-definition":
            "A definition leads back to itself. It is left unexpanded at that point.";
        MultiLine = "SF0210" "multi-line-use":
            "A definition of several lines is used with text after it. Nothing may follow it on its line; Keepalived leaves it unexpanded.";
        UnusedDefinition = "SF0211" "unused-definition":
            "A definition is never used. Perhaps its name is misspelt where it was meant to be used, or it is left over.";
        RandomRange = "SF0212" "random-range":
            "${_RANDOM MIN MAX} takes two non-negative integers, the smaller first.";
        Sequence = "SF0213" "bad-sequence":
            "A ~SEQ, ~SEQx or ~LST is not of the form ~SEQ(NAME, [START, [STEP,]] END) or ~LST(NAME, VALUE, …) or ~LST({NAME, …}, {VALUE, …}, …); or its step leads away from its end; or ~SEQx counts below zero. The line is left out.";
        ExpansionLimit = "SF0214" "expansion-limit":
            "Definitions and sequences produce more text than any real configuration needs, as when definitions double each other. Reading stops there.";
        UnusedCondition = "SF0215" "empty-condition":
            "An @ stands alone: the name of a configuration id must follow it without a space. As it is the line is never read, or always with @^.";
        LongLine = "SF0216" "long-line":
            "A line is longer than the 1022 characters that Keepalived reads at once: it would cut the line there and take the rest for a new line. We read the whole line, so the two programs see different configurations.";
        Backslash = "SF0217" "stray-continuation":
            "A backslash at the end of a line continues it only within a $NAME= definition. Elsewhere Keepalived takes it for a part of the line; we leave it out.";
        LoopValues = "SF0218" "list-values":
            "A tuple of ~LST has not as many values as there are variables. Missing values are empty, surplus ones are ignored.";
        ShadowedName = "SF0219" "shadowed-definition":
            "A sequence uses a variable that was defined before. After the sequence the definition keeps the last value of the sequence.";
    }
}
