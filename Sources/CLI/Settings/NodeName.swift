/// Node names and their templates, as Celery's `-n`, `--logfile` and `--pidfile` have them (celery-wire §12.4).
struct NodeName {
    /// Names the node where neither a flag nor the settings file does. A unit sets it, or all its instances on a host would be one node.
    static let defaultVariable = "COPPICE_DEFAULT_HOSTNAME"

    let full: String
    private let name: Substring
    private let host: String
    private let domain: Substring

    /// - Parameters:
    ///   - template: `w1@%h`, `w1` (the host's name then, as in Celery), `w1@`, `@host`, or nil for `celery@%h`.
    ///   - source: where it comes from, for error texts.
    init(template: String?, host: String, source: String = "--hostname") throws {
        let own = host.firstIndex(of: ".").map { host[host.index(after: $0)...] } ?? ""
        self.host = host
        domain = own
        guard let template, !template.isEmpty else {
            name = "celery"
            full = "celery@\(host)"
            return
        }
        let parts = template.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let first = parts.count == 2 ? parts[0] : ""
        let second = parts.count == 2 ? parts[1] : parts[0]
        name = first.isEmpty ? "celery" : first
        let pattern = "\(name)@\(second.isEmpty ? "%h" : second)"
        full = try NodeName.expand(pattern, ["h": host, "n": String(name), "d": String(own), "i": "0", "I": ""], source)
        guard !full.unicodeScalars.contains(where: { $0.value < 0x21 || $0 == "\u{7F}" }) else {
            throw CommandFailure("\(source): a node's name has no spaces or control characters", code: 2)
        }
    }

    /// Expands a path's template.
    func path(_ template: String, _ flag: String) throws -> String {
        try NodeName.expand(template, ["h": host, "n": String(name), "d": String(domain), "i": "0", "I": "", "p": full], flag)
    }

    private static func expand(_ template: String, _ values: [Character: String], _ flag: String) throws -> String {
        var out = ""
        var rest = template[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                out.append(character)
                continue
            }
            guard let code = rest.popFirst() else {
                throw CommandFailure("\(flag): a '%' at the end; write '%%' for a percent sign", code: 2)
            }
            if code == "%" {
                out.append("%")
            } else if let value = values[code] {
                out += value
            } else {
                throw CommandFailure(
                    "\(flag): unknown code '%\(code)'; known: \(values.keys.sorted().map { "%\($0)" }.joined(separator: " "))", code: 2)
            }
        }
        return out
    }
}
