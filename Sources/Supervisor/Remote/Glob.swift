/// Shell patterns as Python's fnmatch has them, for node names: `*`, `?` and `[…]`.
enum Glob {
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let pattern = Array(pattern.unicodeScalars)
        let text = Array(text.unicodeScalars)
        var p = 0
        var t = 0
        // Where to go on after a mismatch: behind the last star, one character further.
        var star: (p: Int, t: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == "*" {
                star = (p + 1, t)
                p += 1
            } else if p < pattern.count, let next = step(pattern, p, text[t]) {
                p = next
                t += 1
            } else if let known = star {
                star = (known.p, known.t + 1)
                p = known.p
                t = known.t + 1
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == "*" { p += 1 }
        return p == pattern.count
    }

    /// The place behind the pattern's element at `p` if that matches the character.
    private static func step(_ pattern: [Unicode.Scalar], _ p: Int, _ character: Unicode.Scalar) -> Int? {
        // The first member may be a ']' itself.
        let negated = pattern[p] == "[" && p + 1 < pattern.count && pattern[p + 1] == "!"
        let first = p + (negated ? 2 : 1)
        guard pattern[p] == "[", let close = pattern.dropFirst(first + 1).firstIndex(of: "]") else {
            return pattern[p] == "?" || pattern[p] == character ? p + 1 : nil
        }
        var members = pattern[first..<close]
        var found = false
        while let low = members.popFirst() {
            if members.count >= 2, members.first == "-" {
                members.removeFirst()
                // A range that goes backwards has no members.
                if let high = members.popFirst(), low <= character, character <= high { found = true }
            } else if low == character {
                found = true
            }
        }
        return found != negated ? close + 1 : nil
    }
}
