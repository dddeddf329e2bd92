/// A parameter that may be left out, with the value that it has then: `@Default var count = 1`.
///
/// It has its value where it is declared. It is read and written as the bare value. In a worker it may be missing from a call, and from an
/// object in a call; null counts as missing, unless the value's own type has a null. Any other decoder than a worker's wants it to be there.
@propertyWrapper public struct Default<Value: Codable & Sendable>: Codable, Sendable {
    public var wrappedValue: Value

    /// - Parameter type: The name of the type that has the property: what `#function` is there.
    public init(wrappedValue: Value, of type: StaticString = #function) {
        self.wrappedValue = wrappedValue
        InitialValues.collecting?.append(self, of: type)
    }

    public init(from decoder: any Decoder) throws { wrappedValue = try decoder.singleValueContainer().decode(Value.self) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

extension Default: Equatable where Value: Equatable {}
extension Default: Hashable where Value: Hashable {}
