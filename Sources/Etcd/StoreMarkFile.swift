import Glibc
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
        /// What stands there, as far as is known.
        var standing: StoreMark?
        var isWriting = false
        var hasFailed = false
    }

    private let path: String
    private let logger: Logger
    private let state: Mutex<State>
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

    /// What stands at `path`. Where the disk does not say so in time nothing is found, which keeps no daemon from its
    /// start; what stands there is written over all the same.
    public static func open(
        _ path: String, within patience: Duration, logger: Logger = Logger(label: "etcd")
    ) async -> StoreMarkFile {
        let found = await withCheckedContinuation { continuation in
            let asked = Asked(continuation)
            Task {
                try? await Task.sleep(for: patience)
                if asked.answer(nil) { logger.warning("\(path) has not answered: it is left aside") }
            }
            do throws(SystemError) {
                try NamedThread.start("store-mark") { _ = asked.answer(read(path, logger)) }
            } catch {
                _ = asked.answer(nil)
            }
        }
        return StoreMarkFile(path, found, logger)
    }

    private init(_ path: String, _ found: StoreMark?, _ logger: Logger) {
        self.path = path
        self.found = found
        self.logger = logger
        state = Mutex(State(standing: found))
    }

    /// Blocks.
    private static func read(_ path: String, _ logger: Logger) -> StoreMark? {
        guard Files.exists(path) else { return nil }
        do throws(SystemError) {
            let mark = StoreMark(String(decoding: try Files.read(path, limit: sizeMax), as: UTF8.self))
            if mark == nil { logger.warning("\(path) is no mark of ours: it is left aside") }
            return mark
        } catch {
            logger.warning("the mark of the store is left aside: \(error)")
            return nil
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
                state.withLock { $0.standing = mark }
            } catch {
                failure = error
                removeWhatIsOvertaken(by: mark)
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

    /// A mark of another life is worse than none: the next daemon would wait for what is over, or take what was set
    /// back for what was known. One that could not be read in time may be such.
    private func removeWhatIsOvertaken(by mark: StoreMark) {
        let standing = state.withLock { $0.standing }
        if let standing, !standing.isOvertaken(by: mark) { return }
        if unlink(path) == 0 { state.withLock { $0.standing = nil } }
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
    private let waiting: Mutex<CheckedContinuation<StoreMark?, Never>?>

    init(_ continuation: CheckedContinuation<StoreMark?, Never>) { waiting = Mutex(continuation) }

    /// False where it comes too late.
    func answer(_ mark: StoreMark?) -> Bool {
        let continuation = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume(returning: mark)
        return continuation != nil
    }
}
