/// The time format of Celery's messages: `2026-11-22T12:29:43.173301+00:00`.
///
/// The reader is as lenient as the Python worker's: `T` or a space between date and time, an optional fraction, `Z` or an offset or
/// nothing, which means UTC (celery-wire §1.3). The writer gives UTC with an offset, and microseconds only if there are any.
public enum ISO8601 {
    /// The years 1 to 9999 in UTC, as microseconds since 1970: what four digits can say, and Python's datetime holds.
    private static let range: ClosedRange<Int64> = -62_135_596_800_000_000...253_402_300_799_999_999

    public static func parse(_ text: String) -> WallTime? {
        var reader = Digits(Array(text.utf8))
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"), let day = reader.number(2),
            (1...12).contains(month), day >= 1, day <= daysIn(month, year)
        else { return nil }
        var seconds = daysFromEpoch(year, month, day) * 86400
        var micros = 0
        if !reader.isAtEnd {
            guard reader.take("T") || reader.take(" ") || reader.take("t"), let hour = reader.number(2), reader.take(":"),
                let minute = reader.number(2), hour < 24, minute < 60
            else { return nil }
            seconds += hour * 3600 + minute * 60
            if reader.take(":") {
                guard let second = reader.number(2), second < 61 else { return nil }
                seconds += second
                if reader.take(".") || reader.take(",") {
                    guard let fraction = reader.fraction() else { return nil }
                    micros = fraction
                }
            }
            if reader.take("Z") || reader.take("z") {
                // UTC
            } else if reader.next == UInt8(ascii: "+") || reader.next == UInt8(ascii: "-") {
                let west = reader.next == UInt8(ascii: "-")
                reader.skip()
                guard let hours = reader.number(2) else { return nil }
                _ = reader.take(":")
                let minutes = reader.isAtEnd ? 0 : reader.number(2)
                guard let minutes, hours < 24, minutes < 60 else { return nil }
                let offset = hours * 3600 + minutes * 60
                seconds += west ? offset : -offset
            }
            guard reader.isAtEnd else { return nil }
        }
        let time = WallTime(microseconds: Int64(seconds) * 1_000_000 + Int64(micros))
        // An offset may lead out of it.
        return range.contains(time.microseconds) ? time : nil
    }

    public static func format(_ time: WallTime) -> String {
        var out: [UInt8] = []
        append(time, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the formatted time, without quotes; what is beyond the years 1 to 9999 becomes the nearest that is not.
    public static func append(_ time: WallTime, to out: inout [UInt8]) {
        let (seconds, micros) = floorDivide(min(max(time.microseconds, range.lowerBound), range.upperBound), 1_000_000)
        let (days, secondOfDay) = floorDivide(seconds, 86400)
        let (year, month, day) = civil(fromDays: Int(days))
        let second = Int(secondOfDay)
        DecimalDigits.append(year, width: 4, to: &out)
        out.append(UInt8(ascii: "-"))
        DecimalDigits.append(month, width: 2, to: &out)
        out.append(UInt8(ascii: "-"))
        DecimalDigits.append(day, width: 2, to: &out)
        out.append(UInt8(ascii: "T"))
        DecimalDigits.append(second / 3600, width: 2, to: &out)
        out.append(UInt8(ascii: ":"))
        DecimalDigits.append(second / 60 % 60, width: 2, to: &out)
        out.append(UInt8(ascii: ":"))
        DecimalDigits.append(second % 60, width: 2, to: &out)
        if micros != 0 {
            out.append(UInt8(ascii: "."))
            DecimalDigits.append(Int(micros), width: 6, to: &out)
        }
        out.append(contentsOf: "+00:00".utf8)
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> (Int64, Int64) {
        let remainder = ((value % by) + by) % by
        return ((value - remainder) / by, remainder)
    }

    private static func daysIn(_ month: Int, _ year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March so that leap days come last.
    private static func daysFromEpoch(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The reverse of `daysFromEpoch`.
    private static func civil(fromDays days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// A cursor over digits and separators.
    private struct Digits {
        private let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }
        var next: UInt8? { position < bytes.count ? bytes[position] : nil }
        mutating func skip() { position += 1 }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard next == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func number(_ width: Int) -> Int? {
            guard position + width <= bytes.count else { return nil }
            var value = 0
            for byte in bytes[position..<position + width] {
                guard byte &- 0x30 < 10 else { return nil }
                value = value * 10 + Int(byte - 0x30)
            }
            position += width
            return value
        }

        /// One or more digits as microseconds; further digits are cut off.
        mutating func fraction() -> Int? {
            var value = 0
            var count = 0
            while let byte = next, byte &- 0x30 < 10 {
                if count < 6 { value = value * 10 + Int(byte - 0x30) }
                count += 1
                position += 1
            }
            guard count > 0 else { return nil }
            for _ in min(count, 6)..<6 { value *= 10 }
            return value
        }
    }
}
