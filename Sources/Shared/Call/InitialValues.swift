import Synchronization

/// The values that a type's `Default` properties have where they are declared, in that order, for who decodes it.
///
/// A synthesised `init(from:)` sets them before it asks the decoder for its container, and each says so by itself, with its type's name. So of
/// what has been said when a container is asked for, that type's are told from those of values that other properties begin with, and the
/// n-th `Default` that is asked for has the n-th of them.
public final class InitialValues: Sendable {
    /// Where `Default` leaves its value; nil: nobody decodes.
    @TaskLocal static var collecting: InitialValues?

    private let values = Mutex<[(value: any InitialValue, type: StaticString)]>([])

    func append(_ value: any InitialValue, of type: StaticString) { values.withLock { $0.append((value, type)) } }

    /// Decodes something whose `Default` properties shall be known.
    public static func whileCollecting<Value>(_ decode: () throws -> Value) rethrows -> Value {
        try $collecting.withValue(InitialValues(), operation: decode)
    }

    /// The initial values of the type that asks for its container now; nil: it has none.
    public static func taken(by type: Any.Type) -> InitialValues? {
        let said = collecting?.values.withLock { values in
            defer { values = [] }
            return values
        }
        guard let said, !said.isEmpty else { return nil }
        let name = "\(type)".prefix { $0 != "<" }
        let own = InitialValues()
        own.values.withLock { $0 = said.filter { $0.type.description == name } }
        return own
    }

    /// To be called before a type is decoded: what was said before is not its.
    public static func forget() { collecting?.values.withLock { $0 = [] } }

    /// The initial value of a property that is about to be decoded; nil: it is no `Default`.
    public func next<Property>(of type: Property.Type) -> (value: Property, takesNull: Bool)? {
        values.withLock { values in
            guard let first = values.first?.value, let value = first as? Property else { return nil }
            values.removeFirst()
            return (value, first.takesNull)
        }
    }
}

/// A `Default` of whatever type.
protocol InitialValue: Sendable {
    /// Whether null is a value of it.
    var takesNull: Bool { get }
}

extension Default: InitialValue {
    var takesNull: Bool { Value.self is any ExpressibleByNilLiteral.Type }
}
