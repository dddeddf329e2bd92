import Testing

@testable import CoppiceSupervisor

@Suite struct LastLinesTests {
    @Test func theOldestGo() {
        var last = LastLines()
        for number in 0..<50 { last.append("\(number)") }
        #expect(last.lines == (30..<50).map(String.init))
    }

    @Test func theyAreBoundedInBytesToo() {
        var last = LastLines()
        for number in 0..<20 { last.append("\(number)" + String(repeating: "é", count: 450)) }
        #expect(last.lines.count == 4)
        #expect(last.lines.last?.hasPrefix("19") == true)
        last.append(String(repeating: "x", count: 1_000_000))
        #expect(last.lines.last?.utf8.count == LastLines.longestLine + 3)
        #expect(last.lines.reduce(0) { $0 + $1.utf8.count } <= LastLines.mostBytes)
    }

    @Test func aReportIsKeptFromItsBeginning() {
        var last = LastLines()
        for number in 0..<30 { last.append("before \(number)") }
        last.beginReport()
        for number in 0..<1000 { last.append("frame \(number)") }
        #expect(last.lines.first == "before 10")
        #expect(last.lines[20] == "frame 0")
        #expect(last.lines.count == LastLines.mostReportLines)
        for _ in 0..<1000 { last.append(String(repeating: "y", count: 1000)) }
        #expect(last.lines.reduce(0) { $0 + $1.utf8.count } <= LastLines.mostReportBytes)
    }
}
