import CRabbitMQ
import CoppiceShared

/// Header tables, to and from JSON (celery-wire §3.4).
enum FieldTable {
    /// Levels of nesting; more than anything real has. librabbitmq recurses without a bound, until its stack ends.
    static let maximumDepth = 64

    // MARK: from the server

    /// Whether a table of bytes, its length at `position`, keeps to the grammar and the bound. Moves `position` behind it.
    static func isSound(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, depth: Int = 0) -> Bool {
        guard depth < maximumDepth, let end = rangeEnd(bytes, &position) else { return false }
        while position < end {
            let key = Int(bytes[position])
            guard end - position > 1 + key else { return false }
            position += 1 + key
            guard isSoundValue(bytes, &position, end: end, depth: depth) else { return false }
        }
        return position == end
    }

    private static func isSoundValue(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, end: Int, depth: Int) -> Bool {
        guard position < end else { return false }
        let kind = bytes[position]
        position += 1
        switch kind {
        case UInt8(ascii: "V"): break
        case UInt8(ascii: "t"), UInt8(ascii: "b"), UInt8(ascii: "B"): position += 1
        case UInt8(ascii: "s"), UInt8(ascii: "u"): position += 2
        case UInt8(ascii: "I"), UInt8(ascii: "i"), UInt8(ascii: "f"): position += 4
        case UInt8(ascii: "D"): position += 5
        case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "d"), UInt8(ascii: "T"): position += 8
        case UInt8(ascii: "S"), UInt8(ascii: "x"):
            guard let after = rangeEnd(bytes, &position) else { return false }
            position = after
        case UInt8(ascii: "F"):
            guard isSound(bytes, &position, depth: depth + 1) else { return false }
        case UInt8(ascii: "A"):
            guard depth + 1 < maximumDepth, let after = rangeEnd(bytes, &position), after <= end else { return false }
            while position < after {
                guard isSoundValue(bytes, &position, end: after, depth: depth + 1) else { return false }
            }
        default: return false
        }
        return position <= end
    }

    /// Reads a length of four bytes; returns where what it measures ends, nil where that is outside.
    private static func rangeEnd(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Int? {
        guard bytes.count - position >= 4 else { return nil }
        let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)))
        position += 4
        guard bytes.count - position >= length else { return nil }
        return position + length
    }

    /// A decoded table. Its depth was checked with `isSound` before librabbitmq saw it.
    static func object(_ table: amqp_table_t) -> JSONObject {
        var object = JSONObject()
        // `entries` points to `num_entries` entries, in the pool of the decoding.
        for entry in UnsafeBufferPointer(start: table.entries, count: table.entries == nil ? 0 : Int(table.num_entries)) {
            object.append(text(entry.key), value(entry.value))
        }
        return object
    }

    private static func value(_ field: amqp_field_value_t) -> JSONValue {
        // The kind says which member of the union was written.
        switch field.kind {
        case UInt8(ascii: "t"): return .bool(field.value.boolean != 0)
        case UInt8(ascii: "b"): return .int(Int(field.value.i8))
        case UInt8(ascii: "B"): return .int(Int(field.value.u8))
        case UInt8(ascii: "s"): return .int(Int(field.value.i16))
        case UInt8(ascii: "u"): return .int(Int(field.value.u16))
        case UInt8(ascii: "I"): return .int(Int(field.value.i32))
        case UInt8(ascii: "i"): return .int(Int(field.value.u32))
        // RabbitMQ and Python's clients take both for signed.
        case UInt8(ascii: "l"), UInt8(ascii: "L"): return .int(Int(field.value.i64))
        case UInt8(ascii: "f"): return .double(Double(field.value.f32))
        case UInt8(ascii: "d"): return .double(field.value.f64)
        case UInt8(ascii: "D"):
            var value = Double(field.value.decimal.value)
            for _ in 0..<min(field.value.decimal.decimals, 20) { value /= 10 }
            return .double(value)
        case UInt8(ascii: "T"): return .int(Int(truncatingIfNeeded: field.value.u64))
        case UInt8(ascii: "S"), UInt8(ascii: "x"): return .string(text(field.value.bytes))
        case UInt8(ascii: "F"): return .object(object(field.value.table))
        case UInt8(ascii: "A"):
            let array = field.value.array
            let elements = UnsafeBufferPointer(start: array.entries, count: array.entries == nil ? 0 : Int(array.num_entries))
            return .array(elements.map(value))
        default: return .null
        }
    }

    /// A copy of bytes that librabbitmq has measured. What is no UTF-8 is repaired, and becomes no longer by that: whatever came has
    /// room in a message that is sent on.
    static func text(_ bytes: amqp_bytes_t) -> String {
        let bytes = UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.bytes == nil ? 0 : bytes.len)
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        return String(String(decoding: bytes, as: UTF8.self).unicodeScalars.map { $0 == "\u{FFFD}" ? "?" : Character($0) })
    }

    // MARK: to the server

    /// A table in the pool, with the kinds that py-amqp writes.
    static func table(_ object: JSONObject, in pool: MemoryPool, depth: Int = 0) throws(AMQPError) -> amqp_table_t {
        guard depth < maximumDepth else { throw AMQPError("headers that are nested too deep") }
        guard !object.members.isEmpty else { return amqp_table_t() }
        let entries = try pool.room(for: object.members.count, of: amqp_table_entry_t.self)
        for (index, member) in object.members.enumerated() {
            entries[index] = amqp_table_entry_t(
                key: try pool.short(member.key), value: try field(member.value, in: pool, depth: depth))
        }
        return amqp_table_t(num_entries: Int32(truncatingIfNeeded: object.members.count), entries: entries)
    }

    private static func field(_ value: JSONValue, in pool: MemoryPool, depth: Int) throws(AMQPError) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        switch value {
        case .null: field.kind = UInt8(ascii: "V")
        case .bool(let bool):
            field.kind = UInt8(ascii: "t")
            field.value.boolean = bool ? 1 : 0
        case .int(let int):
            if let small = Int32(exactly: int) {
                field.kind = UInt8(ascii: "I")
                field.value.i32 = small
            } else {
                // Written as it is read by RabbitMQ and py-amqp, as signed.
                field.kind = UInt8(ascii: "l")
                field.value.i64 = Int64(int)
            }
        case .double(let double):
            field.kind = UInt8(ascii: "d")
            field.value.f64 = double
        case .string(let text), .bigInt(let text):
            field.kind = UInt8(ascii: "S")
            field.value.bytes = try pool.bytes(text)
        case .object(let object):
            field.kind = UInt8(ascii: "F")
            field.value.table = try table(object, in: pool, depth: depth + 1)
        case .array(let elements):
            guard depth + 1 < maximumDepth else { throw AMQPError("headers that are nested too deep") }
            field.kind = UInt8(ascii: "A")
            var array = amqp_array_t()
            if !elements.isEmpty {
                let entries = try pool.room(for: elements.count, of: amqp_field_value_t.self)
                for (index, element) in elements.enumerated() { entries[index] = try self.field(element, in: pool, depth: depth + 1) }
                array = amqp_array_t(num_entries: Int32(truncatingIfNeeded: elements.count), entries: entries)
            }
            field.value.array = array
        }
        return field
    }
}
