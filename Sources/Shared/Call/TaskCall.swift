/// A task's arguments, shared by who sends the task and who runs it.
///
/// The stored properties are the parameters, in the order of their declaration: `struct Add: TaskCall { var x: Int; var y: Int }`
/// is Python's `def add(x, y)`, and is called with `args=(2, 3)`, `kwargs={"x": 2, "y": 3}` or a mix of both. An optional
/// property is a parameter that may be left out.
public protocol TaskCall: Codable, Sendable {
    associatedtype Output: Codable & Sendable
    static var name: TaskName { get }
}
