/// The layers, highest first.
struct Lookup {
    var layers: [SettingsLayer]

    func value(_ name: String) -> (text: String, source: String)? {
        for layer in layers { if let text = layer[name] { return (text, layer.source(of: name)) } }
        return nil
    }

    /// As YAML has it, and as shells do.
    func flag(_ name: String) throws(SettingsError) -> Bool? {
        guard let (text, source) = value(name) else { return nil }
        return try Lookup.flag(text, source)
    }

    static func flag(_ text: String, _ source: String) throws(SettingsError) -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: throw SettingsError(source, "'\(text)' is neither true nor false")
        }
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        guard let (text, source) = value(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw SettingsError(source, "'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
