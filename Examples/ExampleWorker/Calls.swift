import CoppiceWorkerProcess

struct Add: TaskCall {
    static let name: TaskName = "example.add"
    typealias Output = Int
    var x: Int
    var y: Int
}

struct SendEmail: TaskCall {
    static let name: TaskName = "email.send"
    var to: String
    var subject: String
    var body: String

    struct Output: Codable {
        var to: String
        var sent: Bool
    }
}

struct ProcessData: TaskCall {
    static let name: TaskName = "data.process"
    var items: [JSONValue]

    struct Progress: Codable {
        var current: Int
        var total: Int
    }

    struct Output: Codable {
        var processed: Int
    }
}
