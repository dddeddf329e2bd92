import CoppiceShared

/// What is measured.
struct TuneTask {
    /// The worker executable.
    var app: String
    var name: String
    var arguments: [JSONValue]
    var keywords: JSONObject
    /// Variables that its children get, too.
    var childEnv: [String]
}
