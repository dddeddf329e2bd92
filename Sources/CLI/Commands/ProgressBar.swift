import CoppiceClient
import Glibc

/// A bar on standard error while a task reports `{"current": n, "total": m}` and a person is looking.
final class ProgressBar {
    private static let width = 40
    private let isShown = isatty(STDERR_FILENO) == 1
    private var isDrawn = false

    func show(_ result: StoredResult) {
        guard isShown, result.state.name == "PROGRESS" else { return }
        isDrawn = true
        guard let current = result.result["current"]?.double, let total = result.result["total"]?.double, total > 0 else {
            StandardError.put("\r\u{1B}[K\(result.state.name) \(result.result.text)")
            return
        }
        let share = max(0, min(1, current / total))
        let filled = Int(share * Double(ProgressBar.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: ProgressBar.width - filled)
        StandardError.put(
            "\r\u{1B}[K\(bar) \(Int(share * 100)) %  \(result.result["current"]?.text ?? "")/\(result.result["total"]?.text ?? "")")
    }

    func clear() {
        if isDrawn { StandardError.put("\r\u{1B}[K") }
    }
}
