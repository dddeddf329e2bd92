/// A wrong value, with the place it came from.
struct SettingsError: Error, CustomStringConvertible {
    let description: String

    /// - Parameter source: `environment variable REDIS_PORT`, `--broker`, `REDIS_PORT in /etc/…`.
    init(_ source: String, _ what: String) { description = "\(source): \(what)" }
}
