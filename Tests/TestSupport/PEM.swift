/// Keys and certificates made for these tests alone, valid for a hundred years.
public enum PEM {
    /// A server's, signed by itself.
    public static let first = """
        -----BEGIN CERTIFICATE-----
        MIIBiDCCAS6gAwIBAgIUNiqXAVfG/MLLdowgSmqYs/Uq6HEwCgYIKoZIzj0EAwIw
        EDEOMAwGA1UEAwwFZmlyc3QwIBcNMjYxMTIyMjM1NjA3WhgPMjEyNjEwMjkyMzU2
        MDdaMBAxDjAMBgNVBAMMBWZpcnN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
        Gtt6FBeERYcfyd24D7jv5n0tzhOpUAZlKIjLbARVYWDsmwV69w+wn+j2n028B42H
        WRTtGlzcCFSx4apuDjR8vqNkMGIwHQYDVR0OBBYEFM7SRJNn6bhUAP5JrGECgZPj
        T864MB8GA1UdIwQYMBaAFM7SRJNn6bhUAP5JrGECgZPjT864MA8GA1UdEwEB/wQF
        MAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNIADBFAiEAi/My/UNp
        viP+KsmhklGSf2q/5P5MtAf+R1auazjmlrkCIBkQp5BWdkbU5T3EV8xwxz/c0ZOu
        3LJitenWZDdKXr1k
        -----END CERTIFICATE-----
        """

    /// The key of `first`.
    public static let firstKey = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIMaG2l412GBE1/+D4sbeq+8h4+XTpxQYJp19qoq18VnfoAoGCCqGSM49
        AwEHoUQDQgAEGtt6FBeERYcfyd24D7jv5n0tzhOpUAZlKIjLbARVYWDsmwV69w+w
        n+j2n028B42HWRTtGlzcCFSx4apuDjR8vg==
        -----END EC PRIVATE KEY-----
        """

    /// The key of `first`, under the password `secret`.
    public static let lockedKey = """
        -----BEGIN EC PRIVATE KEY-----
        Proc-Type: 4,ENCRYPTED
        DEK-Info: AES-128-CBC,98AA67380AF4999EB7BFD62CAB1D3859

        DJc0xHXdDt1XhhVaKtmE3PQNyNJ2DT4WgomsJiLtoa6HUcsxhL6q5nMynh/xsHK0
        piRLyc5BIdWCWHF0BnhJN82AHnKPj1hRFAD+rSmsv0hXTs60gMiddZiIoILggcXQ
        RlvELlVElVwHbBKGIRaxTUbydXOTDQiapNvavToYJQ0=
        -----END EC PRIVATE KEY-----
        """

    /// Another server's.
    public static let second = """
        -----BEGIN CERTIFICATE-----
        MIIBizCCATCgAwIBAgIUO55EH4JXEEOE1KpJgirxc9jzVyswCgYIKoZIzj0EAwIw
        ETEPMA0GA1UEAwwGc2Vjb25kMCAXDTI2MTEyMjIzNTYwN1oYDzIxMjYxMDI5MjM1
        NjA3WjARMQ8wDQYDVQQDDAZzZWNvbmQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
        AAS4pqrCanAoezZljMj8yNq+11hAdDzI7XRBp69LDrkjTSl537AaGImCe2BStd/S
        olFHCmW8mcljIhtO3kU/r1+So2QwYjAdBgNVHQ4EFgQUNasumQM+IXuE9Qdkl1z7
        OSps33AwHwYDVR0jBBgwFoAUNasumQM+IXuE9Qdkl1z7OSps33AwDwYDVR0TAQH/
        BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQCr4+KC
        9g1CEccm0ESVxgbt59UwJ8bYv09oztxcNF1J0gIhAPATX1RhjP2Uci3/lb37+FyO
        +TTgBNfmfndpdQCGxr46
        -----END CERTIFICATE-----
        """

    /// The key of `second`.
    public static let secondKey = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIMwk3Yzd2rqck5kZ3/9eAlkypNwgvkUVnayU6koliS3+oAoGCCqGSM49
        AwEHoUQDQgAEuKaqwmpwKHs2ZYzI/MjavtdYQHQ8yO10QaevSw65I00ped+wGhiJ
        gntgUrXf0qJRRwplvJnJYyIbTt5FP69fkg==
        -----END EC PRIVATE KEY-----
        """

    /// Signs clients.
    public static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBfDCCASGgAwIBAgIUbeWKs/OEtJ6dH5HYcZBizXDrj64wCgYIKoZIzj0EAwIw
        EjEQMA4GA1UEAwwHY2xpZW50czAgFw0yNjExMjIyMzU2MDdaGA8yMTI2MTAyOTIz
        NTYwN1owEjEQMA4GA1UEAwwHY2xpZW50czBZMBMGByqGSM49AgEGCCqGSM49AwEH
        A0IABJUay3GNilx+rqEE833OjPpO1XBS+WH+BykGV6XshXY0UGhbFLytOG9A7cF6
        W7kdOHGj6f9b5P0qRS07CitYblSjUzBRMB0GA1UdDgQWBBQOMeOK+4G0ytSjwbJa
        IBH6SwGEjzAfBgNVHSMEGDAWgBQOMeOK+4G0ytSjwbJaIBH6SwGEjzAPBgNVHRMB
        Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQD1iQKhlCE9fidlnj4DK/scfeCE
        Zu4+LSC4aJFSWFzwDwIhAJeX7P4EacrXKBc6/K6hxFcmsPpQQaCGMyAoJlmB5zlF
        -----END CERTIFICATE-----
        """

    /// Signed by `authority`.
    public static let client = """
        -----BEGIN CERTIFICATE-----
        MIIBHzCBxgIUOER5Hz+2h9B9oj3OVOy8HONjuD4wCgYIKoZIzj0EAwIwEjEQMA4G
        A1UEAwwHY2xpZW50czAgFw0yNjExMjIyMzU2MDhaGA8yMTI2MTAyOTIzNTYwOFow
        ETEPMA0GA1UEAwwGY2xpZW50MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtFh0
        ctt0WOEHmhb4h1T+J4CLXuZkf6nXWiDPwvTit9Bf07GlOoN1UxW3dZh6nwmAXGRu
        lbCqYXXBW/nKiFSAKDAKBggqhkjOPQQDAgNIADBFAiBlxzpGZ89hm+MjWPj68tFF
        YOP6/ytRcCN5cZKHwzt8nwIhALUElMvX+u3jJlh+OLmwAcv7qNbg7MR99XeTZJFa
        vHtQ
        -----END CERTIFICATE-----
        """

    /// The key of `client`.
    public static let clientKey = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEILSFHlNG6ucyWUDDkjhH/1laXCcVe90TSTARhaK5x+EpoAoGCCqGSM49
        AwEHoUQDQgAEtFh0ctt0WOEHmhb4h1T+J4CLXuZkf6nXWiDPwvTit9Bf07GlOoN1
        UxW3dZh6nwmAXGRulbCqYXXBW/nKiFSAKA==
        -----END EC PRIVATE KEY-----
        """

    /// A client's that nobody signed.
    public static let stranger = """
        -----BEGIN CERTIFICATE-----
        MIIBjTCCATSgAwIBAgIUFndsbed53TNkC6hAiA1RH3TlHHcwCgYIKoZIzj0EAwIw
        EzERMA8GA1UEAwwIc3RyYW5nZXIwIBcNMjYxMTIyMjM1NjA3WhgPMjEyNjEwMjky
        MzU2MDdaMBMxETAPBgNVBAMMCHN0cmFuZ2VyMFkwEwYHKoZIzj0CAQYIKoZIzj0D
        AQcDQgAEWnqfD5s6MD4M6nBYW8aM7HUqc32WfkBPbIMjdvdT7DqwTwiLZ4T3DZ7A
        sPSCok4u8DrgKQ2x8l84MTjaAQ0Rz6NkMGIwHQYDVR0OBBYEFPcSCZzdwF60D1Va
        KuGEe0GQ1vlPMB8GA1UdIwQYMBaAFPcSCZzdwF60D1VaKuGEe0GQ1vlPMA8GA1Ud
        EwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNHADBEAiBz
        mrD1dVM0wbDQ4PB3iqHiyww1NV7By/kSDoYWoT2XBwIgP8lLVaO/eaSMR0hlz/Rs
        jEPgI1yxGQRMRmB68Laq0co=
        -----END CERTIFICATE-----
        """

    /// The key of `stranger`.
    public static let strangerKey = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIKioWRfqjwtHnUZcXDcyw2n0S/QgIUdeJl3kick9I4jFoAoGCCqGSM49
        AwEHoUQDQgAEWnqfD5s6MD4M6nBYW8aM7HUqc32WfkBPbIMjdvdT7DqwTwiLZ4T3
        DZ7AsPSCok4u8DrgKQ2x8l84MTjaAQ0Rzw==
        -----END EC PRIVATE KEY-----
        """
}
