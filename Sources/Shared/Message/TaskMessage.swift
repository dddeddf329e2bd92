/// A task message as a broker gave it, as far as the master reads it. The body stays as it came.
public struct TaskMessage: Equatable, Sendable {
    public var id: String
    public var name: String
    public var retries: Int = 0
    public var eta: WallTime?
    public var expires: WallTime?
    /// Seconds; nil: the task's or the node's own.
    public var hardTimeLimit: Double?
    public var softTimeLimit: Double?
    /// nil: the task's own option decides.
    public var ignoreResult: Bool?
    public var group: String?
    public var parentID: String?
    public var shadow: String?
    /// Of a copy that a node made of a message which it held: the mark under which it did. It tells the copy from the original, should
    /// that be delivered once more.
    public var copyMark: String?
    /// The headers as JSON text, an object.
    public var headers: [UInt8]
    public var contentType: String
    public var contentEncoding: String?
    public var compression: String?
    public var correlationID: String?
    public var replyTo: String?
    public var priority: Int = 0
    public var redelivered = false
    public var exchange: String = ""
    public var routingKey: String
    public var body: [UInt8]
    public var bodyIsBase64: Bool

    public init(id: String, name: String, headers: [UInt8], contentType: String, routingKey: String, body: [UInt8], bodyIsBase64: Bool) {
        self.id = id
        self.name = name
        self.headers = headers
        self.contentType = contentType
        self.routingKey = routingKey
        self.body = body
        self.bodyIsBase64 = bodyIsBase64
    }

    /// From a broker that keeps headers, properties and body apart.
    ///
    /// - Throws: what is wrong with it, with the task's id and name where they could be read.
    public init(headers: JSONObject, contentType: String, routingKey: String, body: [UInt8]) throws(MessageDefect) {
        self.init(id: "", name: "", headers: [], contentType: contentType, routingKey: routingKey, body: body, bodyIsBase64: false)
        let read: TaskHeaders
        do throws(JSONError) {
            var scanner = JSONScanner(JSONValue.object(headers).bytes)
            read = try TaskHeaders(&scanner)
        } catch {
            throw MessageDefect("headers that can't be read: \(error)")
        }
        try read.apply(to: &self)
    }

    /// The header of `copyMark`; nobody but Coppice knows it.
    public static let copyMarkHeader: StaticString = "coppice_copy"

    /// How the task is called in logs.
    public var displayName: String { shadow ?? name }
}
