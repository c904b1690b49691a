//! SF01xx: braces, quotes, comments and characters.

use super::code::family;

family! {
    /// Braces, quotes, comments and characters.
    Syntax {
        UnclosedBlock = "SF0101" "unclosed-block":
            "A `{` has no `}` before the end of the configuration, or before a block that can only stand outside all others. Keepalived reads everything after the forgotten brace as part of that block, so keywords there are reported as unknown or silently given to the wrong block; we end the block where the next outermost block begins. Close the block where it ends.";
        ExtraBrace = "SF0102" "extra-brace":
            "A `}` stands where no block is open. Keepalived reports it and reads on, so usually some earlier block was closed too soon and its last lines were read at the wrong level.";
        UnexpectedBrace = "SF0103" "unexpected-brace":
            "A `{` stands where no keyword opens a block. It and its `}` are ignored, and the lines between them are read as if they stood outside.";
        MissingBrace = "SF0104" "missing-brace":
            "A keyword that opens a block is not followed by `{`. The lines after it, up to the next `}`, are taken as the block.";
        UnclosedQuote = "SF0105" "unclosed-quote":
            "A double quote has no partner on its line. Everything up to the end of the line, comment signs included, belongs to the quoted text. Quotes never reach over several lines.";
        NotUtf8 = "SF0106" "not-utf8":
            "The file holds bytes that are not UTF-8 text. They are shown as the replacement character. Save the file as UTF-8.";
        ByteOrderMark = "SF0107" "byte-order-mark":
            "The file starts with a byte order mark, as some Windows editors write it. Keepalived takes it for part of the first word; we skip it. Save the file without it.";
        NulByte = "SF0108" "nul-byte":
            "A line holds a NUL byte. Keepalived drops the rest of such a line, and so do we. The file is probably UTF-16, binary or damaged.";
        OddSpace = "SF0109" "odd-space":
            "A character that looks like a space or is invisible, such as a no-break space, is not white space to Keepalived: it becomes part of the word beside it. They come from web pages and word processors. Replace it by a normal space.";
        GluedComment = "SF0110" "glued-comment":
            "A comment starts directly behind a word without a space. It works, since `#` and `!` start a comment anywhere outside double quotes; if the sign belongs to the value, as in a password, the value is cut short. Write a space before the comment, or put the value in double quotes.";
        SeveralOnALine = "SF0111" "keywords-on-one-line":
            "Several keywords stand on one line. Keepalived takes the first as the keyword and the others as its arguments, which it does not use. Write each on a line of its own.";
        TrailingPunctuation = "SF0112" "trailing-punctuation":
            "A word ends with a `;` or `,`, as in other configuration languages. Here it becomes part of the value.";
    }
}
