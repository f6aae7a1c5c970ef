public import Logging
import Posix
public import StoreRules
import Synchronization

/// The mark of the store's last life (`StoreMark`), in a file beside the data directory: what is in that is copied to
/// other nodes and goes with it. Where the directory above is not ours to write in there is none, and a daemon begins
/// as if it had known no store.
public final class StoreMarkFile: Sendable {
    private struct State {
        /// What is to be written next: the newest.
        var waiting: StoreMark?
        var isWriting = false
        var hasFailed = false
    }

    private let path: String
    private let logger: Logger
    private let state = Mutex(State())
    /// What an earlier daemon has left; nil where nothing stands there, or nothing that is a mark.
    public let found: StoreMark?

    /// More than any mark has.
    private static let sizeMax = 4096

    /// Where the mark of the daemon stands whose data directory is `dataDirectory`.
    public static func path(besides dataDirectory: String) -> String {
        let directory = dataDirectory.utf8.last == UInt8(ascii: "/") ? String(dataDirectory.dropLast()) : dataDirectory
        let name = directory.split(separator: "/").last.map(String.init) ?? "data"
        return "\(Files.parent(directory))/.\(name).matriarch-store"
    }

    /// What stands at `path`; nil where the disk does not say so in time, which keeps no daemon from its start.
    public static func open(
        _ path: String, within patience: Duration, logger: Logger = Logger(label: "etcd")
    ) async -> StoreMarkFile? {
        await withCheckedContinuation { continuation in
            let asked = Asked(continuation)
            Task {
                try? await Task.sleep(for: patience)
                if asked.answer(nil) { logger.warning("\(path) has not answered: it is left aside") }
            }
            do throws(SystemError) {
                try NamedThread.start("store-mark") { _ = asked.answer(StoreMarkFile(path, logger: logger)) }
            } catch {
                _ = asked.answer(nil)
            }
        }
    }

    /// Reads what stands there. Blocks.
    init(_ path: String, logger: Logger) {
        self.path = path
        self.logger = logger
        guard Files.exists(path) else {
            found = nil
            return
        }
        do throws(SystemError) {
            let bytes = try Files.read(path, limit: Self.sizeMax)
            found = StoreMark(String(decoding: bytes, as: UTF8.self))
            if found == nil { logger.warning("\(path) is no mark of ours: it is left aside") }
        } catch {
            logger.warning("the mark of the store is left aside: \(error)")
            found = nil
        }
    }

    /// Writes the mark, whole or not at all. Nobody waits for it; of several that come at once the last is written.
    public func keep(_ mark: StoreMark) {
        let isFirst = state.withLock { state in
            state.waiting = mark
            defer { state.isWriting = true }
            return !state.isWriting
        }
        guard isFirst else { return }
        do throws(SystemError) {
            try NamedThread.start("store-mark") { self.writeAll() }
        } catch {
            state.withLock { $0.isWriting = false }
            logger.warning("the mark of the store was not written: \(error)")
        }
    }

    private func writeAll() {
        while let mark = next() {
            var failure: SystemError?
            do throws(SystemError) {
                try Files.replace(path, with: mark.text.utf8, mode: 0o600, durably: true)
            } catch {
                failure = error
            }
            // The same again is no news.
            let isNews = state.withLock { state in
                defer { state.hasFailed = failure != nil }
                return failure != nil && !state.hasFailed
            }
            if isNews, let failure {
                logger.warning(
                    "the mark of the store is not kept, so that the next daemon knows none: \(failure)")
            }
        }
    }

    private func next() -> StoreMark? {
        state.withLock { state in
            defer { state.waiting = nil }
            state.isWriting = state.waiting != nil
            return state.waiting
        }
    }
}

/// Somebody waits for the first of two answers.
private final class Asked: Sendable {
    private let waiting: Mutex<CheckedContinuation<StoreMarkFile?, Never>?>

    init(_ continuation: CheckedContinuation<StoreMarkFile?, Never>) { waiting = Mutex(continuation) }

    /// False where it comes too late.
    func answer(_ file: StoreMarkFile?) -> Bool {
        let continuation = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume(returning: file)
        return continuation != nil
    }
}
