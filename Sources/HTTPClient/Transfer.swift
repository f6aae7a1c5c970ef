import CCurl
import CCurlShims
import ClusterModel
import Glibc
import Posix

/// What the client's thread is asked to do for one request.
struct TransferOrder: Sendable {
    enum Sink: Sendable {
        case reply(ReplyCell)
        case stream(StreamCell, idleLimit: Duration?)
    }

    let id: UInt64
    let request: HTTPClientRequest
    let options: HTTPClientOptions
    /// Of a reply: for all of it. Of a stream: for its first byte.
    let deadline: BootInstant
    let sink: Sink

    func fail(_ error: HTTPClientError) {
        switch sink {
        case .reply(let cell): cell.finish(.failure(error))
        case .stream(let cell, _): cell.finish(error)
        }
    }

    var isDecided: Bool {
        switch sink {
        case .reply(let cell): cell.isDecided
        case .stream(let cell, _): cell.hasEnded
        }
    }
}

/// A request under way: the curl handle and what belongs to it. Lives and dies on the client's thread.
final class Transfer {
    let order: TransferOrder
    let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?
    private var body: [UInt8] = []
    private var isTooLarge = false
    /// How much of the request's body curl has taken.
    private var sent = 0
    private var wasResent = false
    private(set) var isPaused = false
    /// When a stream is given up: at first its deadline, later its silence; nil for never.
    private(set) var giveUp: BootInstant?

    /// Nil when memory is out.
    init?(_ order: TransferOrder) {
        guard let handle = curl_easy_init() else { return nil }
        self.order = order
        self.handle = handle
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        applyRequest()
        applyLimits()
        applyTLS(order.options.tls)
    }

    deinit {
        curl_easy_cleanup(handle)
        curl_slist_free_all(headers)
        errorText.deallocate()
    }

    var status: Int {
        var code = 0
        ms_curl_getinfo_long(handle, CURLINFO_RESPONSE_CODE, &code)
        return code
    }

    // MARK: Options

    private func applyRequest() {
        let request = order.request
        ms_curl_setopt_string(handle, CURLOPT_URL, request.url)
        ms_curl_setopt_string(handle, CURLOPT_USERAGENT, order.options.userAgent)
        ms_curl_setopt_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
        ms_curl_setopt_pointer(handle, CURLOPT_PRIVATE, Unmanaged.passUnretained(self).toOpaque())
        ms_curl_setopt_write(handle, CURLOPT_WRITEFUNCTION, transferDidReceive)
        ms_curl_setopt_pointer(handle, CURLOPT_WRITEDATA, Unmanaged.passUnretained(self).toOpaque())
        if let body = request.body {
            ms_curl_setopt_long(handle, CURLOPT_POST, 1)
            ms_curl_setopt_long(handle, CURLOPT_POSTFIELDSIZE, body.count)
            // Not handed over whole: only so does curl tell when it sends a body for a second time.
            let context = Unmanaged.passUnretained(self).toOpaque()
            ms_curl_setopt_write(handle, CURLOPT_READFUNCTION, transferWillSend)
            ms_curl_setopt_pointer(handle, CURLOPT_READDATA, context)
            ms_curl_setopt_seek(handle, CURLOPT_SEEKFUNCTION, transferRewinds)
            ms_curl_setopt_pointer(handle, CURLOPT_SEEKDATA, context)
        }
        if request.method == "HEAD" {
            ms_curl_setopt_long(handle, CURLOPT_NOBODY, 1)
        } else if request.method != (request.body == nil ? "GET" : "POST") {
            ms_curl_setopt_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        }
        // Without this curl asks for leave before a large body and waits a second for it.
        headers = curl_slist_append(headers, "Expect:")
        if request.body != nil, !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
            headers = curl_slist_append(headers, "Content-Type:")
        }
        for header in request.headers { headers = curl_slist_append(headers, "\(header.name): \(header.value)") }
        ms_curl_setopt_list(handle, CURLOPT_HTTPHEADER, headers)
        if let credentials = request.credentials {
            ms_curl_setopt_long(handle, CURLOPT_HTTPAUTH, 1)  // CURLAUTH_BASIC is a macro with a cast
            ms_curl_setopt_string(handle, CURLOPT_USERNAME, credentials.username)
            ms_curl_setopt_string(handle, CURLOPT_PASSWORD, credentials.password)
        }
    }

    private func applyLimits() {
        let left = max(1, (order.deadline - BootClock.now()).nanoseconds / 1_000_000)
        switch order.sink {
        case .reply: ms_curl_setopt_long(handle, CURLOPT_TIMEOUT_MS, Int(left))
        case .stream: giveUp = order.deadline
        }
        let connect = max(1, order.request.connectTimeout.nanoseconds / 1_000_000)
        ms_curl_setopt_long(handle, CURLOPT_CONNECTTIMEOUT_MS, Int(min(connect, left)))
        ms_curl_setopt_long(handle, CURLOPT_NOSIGNAL, 1)
        ms_curl_setopt_long(handle, CURLOPT_MAXAGE_CONN, Int(HTTPClientOptions.idleConnectionLimit.inSeconds))
        if order.request.usesOwnConnection {
            ms_curl_setopt_long(handle, CURLOPT_FRESH_CONNECT, 1)
            ms_curl_setopt_long(handle, CURLOPT_FORBID_REUSE, 1)
        }
        // A name server that hangs must not hold up the thread when the request is given up.
        ms_curl_setopt_long(handle, CURLOPT_QUICK_EXIT, 1)
        // HTTP/2 would put the watch and the calls upon one connection.
        ms_curl_setopt_long(handle, CURLOPT_HTTP_VERSION, 2)  // CURL_HTTP_VERSION_1_1
        ms_curl_setopt_string(handle, CURLOPT_PROXY, "")
        ms_curl_setopt_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        ms_curl_setopt_long(handle, CURLOPT_FOLLOWLOCATION, 0)
        ms_curl_setopt_long(handle, CURLOPT_TCP_NODELAY, 1)
        let keepalive = order.options.keepalive
        ms_curl_setopt_long(handle, CURLOPT_TCP_KEEPALIVE, 1)
        ms_curl_setopt_long(handle, CURLOPT_TCP_KEEPIDLE, max(1, Int(keepalive.idle.inSeconds)))
        ms_curl_setopt_long(handle, CURLOPT_TCP_KEEPINTVL, max(1, Int(keepalive.interval.inSeconds)))
        let userTimeout = UInt32(clamping: keepalive.userTimeout.nanoseconds / 1_000_000)
        ms_curl_setopt_tcp_limits(handle, userTimeout, UInt32(clamping: keepalive.count))
    }

    private func applyTLS(_ tls: TLSOptions) {
        if let path = tls.cacert { ms_curl_setopt_string(handle, CURLOPT_CAINFO, path) }
        if let path = tls.cert { ms_curl_setopt_string(handle, CURLOPT_SSLCERT, path) }
        if let path = tls.key { ms_curl_setopt_string(handle, CURLOPT_SSLKEY, path) }
        if let password = tls.keyPassword { ms_curl_setopt_string(handle, CURLOPT_KEYPASSWD, password) }
        ms_curl_setopt_long(handle, CURLOPT_SSL_VERIFYPEER, tls.verifiesPeer ? 1 : 0)
        ms_curl_setopt_long(handle, CURLOPT_SSL_VERIFYHOST, tls.verifiesHost ? 2 : 0)
    }

    // MARK: Progress

    /// Fills curl's buffer with what is left of the request's body.
    func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let rest = order.request.body?[sent...].prefix(buffer.count) else { return 0 }
        buffer.copyBytes(from: rest)
        sent += rest.count
        return rest.count
    }

    /// A connection that was kept turned out to be dead: curl sends the body anew.
    func rewind(to offset: Int) -> Bool {
        guard let body = order.request.body, body.indices.contains(offset) || offset == 0 else { return false }
        sent = offset
        wasResent = true
        return true
    }

    /// Takes bytes from curl: how many were taken, or curl's word for "later".
    func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch order.sink {
        case .reply:
            if body.count + bytes.count > order.request.bodyLimit {
                isTooLarge = true
                return 0
            }
            body += bytes
            return bytes.count
        case .stream(let cell, let idleLimit):
            switch cell.deliver(Array(bytes), status: status) {
            case .taken:
                giveUp = idleLimit.map { BootClock.now() + $0 }
                return bytes.count
            case .full:
                isPaused = true
                giveUp = nil
                return Int(CURL_WRITEFUNC_PAUSE)
            case .abandoned: return 0
            }
        }
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        if case .stream(_, let idleLimit) = order.sink { giveUp = idleLimit.map { BootClock.now() + $0 } }
        curl_easy_pause(handle, CURLPAUSE_CONT)
    }

    private var header: String? {
        guard let name = order.request.wantedHeader else { return nil }
        var found: UnsafeMutablePointer<curl_header>?
        // The origin is CURLH_HEADER, a macro.
        guard curl_easy_header(handle, name, 0, 1, -1, &found) == CURLHE_OK,
            let value = found?.pointee.value
        else { return nil }
        return String(cString: value)
    }

    func finish(_ code: CURLcode) {
        switch order.sink {
        case .reply(let cell):
            cell.finish(
                code == CURLE_OK
                    ? .success(HTTPClientResponse(status: status, body: body, wasResent: wasResent, header: header))
                    : .failure(error(code)))
        case .stream(let cell, _): cell.finish(code == CURLE_OK ? nil : error(code), status: status)
        }
    }

    private func error(_ code: CURLcode) -> HTTPClientError {
        if isTooLarge { return .tooLarge(limit: order.request.bodyLimit) }
        let text = String(cString: errorText)
        return HTTPClientError(code, text: text.isEmpty ? String(cString: curl_easy_strerror(code)) : text)
    }
}

// File-level functions, so that they belong to no actor: curl calls them on the client's thread.
private func transferDidReceive(
    _ data: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.receive(UnsafeRawBufferPointer(start: data, count: size * count))
}

private func transferWillSend(
    _ data: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.fill(UnsafeMutableRawBufferPointer(start: data, count: size * count))
}

private func transferRewinds(_ context: UnsafeMutableRawPointer?, _ offset: curl_off_t, _ origin: Int32) -> Int32 {
    guard let context, origin == SEEK_SET, let offset = Int(exactly: offset) else { return CURL_SEEKFUNC_CANTSEEK }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.rewind(to: offset) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
}
