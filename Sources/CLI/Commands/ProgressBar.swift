import CoppiceClient
import Glibc

/// A bar on standard error while a person is looking.
final class ProgressBar {
    private static let width = 40
    private let isShown = isatty(STDERR_FILENO) == 1
    private var isDrawn = false

    /// Of a task that reports `{"current": n, "total": m}`.
    func show(_ result: StoredResult) {
        guard isShown, result.state.name == "PROGRESS" else { return }
        isDrawn = true
        guard let current = result.result["current"]?.double, let total = result.result["total"]?.double, total > 0 else {
            StandardError.put("\r\u{1B}[K\(result.state.name) \(result.result.text)")
            return
        }
        show(current / total, "\(result.result["current"]?.text ?? "")/\(result.result["total"]?.text ?? "")")
    }

    /// - Parameter share: of the whole, from 0 to 1.
    func show(_ share: Double, _ text: String) {
        guard isShown else { return }
        isDrawn = true
        let share = max(0, min(1, share))
        let filled = Int(share * Double(ProgressBar.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: ProgressBar.width - filled)
        StandardError.put("\r\u{1B}[K\(bar) \(Int(share * 100)) %  \(text)")
    }

    func clear() {
        if isDrawn { StandardError.put("\r\u{1B}[K") }
    }
}
