// Verifies access tokens of a Sallyport server with Google's HTTP client library (Debian:
// libgoogle-http-client-java), which has a reader and verifier of signed tokens.
// Reads a token a line, prints "ok SUB" or "refused REASON".

import com.google.api.client.json.gson.GsonFactory;
import com.google.api.client.json.webtoken.JsonWebSignature;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;

public class VerifyToken {
  static final String ISSUER = System.getenv("ISSUER");
  static final String AUDIENCE = System.getenv("AUDIENCE");
  static final Duration SKEW = Duration.ofSeconds(60);

  /** A token that is not to be accepted. */
  static class Refused extends Exception {
    Refused(String reason) {
      super(reason);
    }
  }

  /** A key and the one algorithm it is for. */
  record Key(String algorithm, PublicKey key) {}

  /**
   * The issuer's keys, by kid. They are fetched again after the server's max-age and when a token names an unknown one,
   * but at most once in ten seconds: anybody can send tokens with made-up kids. While the issuer does not answer, those
   * fetched last stay in use.
   */
  static class Keys {
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final URI uri;
    private Map<String, Key> keys = Map.of();
    private long freshUntil = System.nanoTime();
    private long askAgain = System.nanoTime();

    Keys(String issuer) {
      uri = URI.create(issuer.replaceAll("/$", "") + "/.well-known/jwks.json");
    }

    synchronized Key get(String kid) throws Refused {
      long now = System.nanoTime();
      Key known = keys.get(kid);
      if (known != null && now - freshUntil < 0) {
        return known;
      }
      if (now - askAgain >= 0) {
        askAgain = now + Duration.ofSeconds(10).toNanos();
        try {
          keys = fetch();
          freshUntil = now + Duration.ofMinutes(5).toNanos();
        } catch (IOException | InterruptedException | GeneralSecurityException | RuntimeException e) {
          System.err.println("keys not fetched: " + e);
        }
      }
      known = keys.get(kid);
      if (known == null) {
        throw new Refused("unknown key");
      }
      return known;
    }

    private Map<String, Key> fetch() throws IOException, InterruptedException, GeneralSecurityException {
      HttpRequest request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(5)).build();
      HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
      if (response.statusCode() != 200) {
        throw new IOException("status " + response.statusCode());
      }
      Map<String, Key> fetched = new HashMap<>();
      for (JsonElement element : JsonParser.parseString(response.body()).getAsJsonObject().getAsJsonArray("keys")) {
        JsonObject jwk = element.getAsJsonObject();
        switch (text(jwk, "alg")) {
          case "ES256" -> fetched.put(text(jwk, "kid"), new Key("ES256", p256(jwk)));
          case "RS256" -> fetched.put(text(jwk, "kid"), new Key("RS256", rsa(jwk)));
          case "EdDSA" -> fetched.put(text(jwk, "kid"), new Key("EdDSA", ed25519(jwk)));
          default -> { } // the server has no others
        }
      }
      return fetched;
    }

    private static PublicKey p256(JsonObject jwk) throws GeneralSecurityException {
      AlgorithmParameters p256 = AlgorithmParameters.getInstance("EC");
      p256.init(new ECGenParameterSpec("secp256r1"));
      ECPoint point = new ECPoint(number(jwk, "x"), number(jwk, "y"));
      ECPublicKeySpec spec = new ECPublicKeySpec(point, p256.getParameterSpec(ECParameterSpec.class));
      return KeyFactory.getInstance("EC").generatePublic(spec);
    }

    private static PublicKey rsa(JsonObject jwk) throws GeneralSecurityException {
      return KeyFactory.getInstance("RSA").generatePublic(new RSAPublicKeySpec(number(jwk, "n"), number(jwk, "e")));
    }

    private static PublicKey ed25519(JsonObject jwk) throws GeneralSecurityException {
      byte[] x = Base64.getUrlDecoder().decode(text(jwk, "x"));
      byte[] spki = HexFormat.of().parseHex("302a300506032b6570032100" + HexFormat.of().formatHex(x)); // RFC 8410 section 4
      return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(spki));
    }

    private static BigInteger number(JsonObject jwk, String name) {
      return new BigInteger(1, Base64.getUrlDecoder().decode(text(jwk, name)));
    }

    private static String text(JsonObject jwk, String name) {
      return jwk.get(name).getAsString();
    }
  }

  static final Keys KEYS = new Keys(ISSUER);

  /** Returns the claims of a token that may be accepted. */
  static JsonWebSignature.Payload verify(String token) throws Refused {
    if (token.length() > 8192 || !token.matches("[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+")) {
      throw new Refused("malformed");
    }
    JsonWebSignature jws;
    try {
      jws = JsonWebSignature.parse(GsonFactory.getDefaultInstance(), token);
    } catch (IOException | RuntimeException e) {
      throw new Refused("malformed");
    }
    JsonWebSignature.Header header = jws.getHeader();
    if (header.getCritical() != null) {
      throw new Refused("crit is not supported");
    }
    Key key = KEYS.get(header.getKeyId());
    // The algorithm is the key's. Never take it from the token.
    if (!key.algorithm().equals(header.getAlgorithm())) {
      throw new Refused("algorithm is not the key's");
    }
    try {
      if (!signedBy(key, jws)) {
        throw new Refused("signature");
      }
    } catch (GeneralSecurityException | RuntimeException e) {
      throw new Refused("signature");
    }
    JsonWebSignature.Payload claims = jws.getPayload();
    checkClaims(claims);
    if (!isAccess(header, claims)) { // refresh and id tokens are no access tokens
      throw new Refused("not an access token");
    }
    return claims;
  }

  /** The library knows no EdDSA; the JDK does. */
  static boolean signedBy(Key key, JsonWebSignature jws) throws GeneralSecurityException {
    if (!key.algorithm().equals("EdDSA")) {
      return jws.verifySignature(key.key());
    }
    Signature signature = Signature.getInstance("Ed25519");
    signature.initVerify(key.key());
    signature.update(jws.getSignedContentBytes());
    return signature.verify(jws.getSignatureBytes());
  }

  /** A contract's access tokens say so in a claim, those of the OAuth endpoints (RFC 9068) by their typ. */
  static boolean isAccess(JsonWebSignature.Header header, JsonWebSignature.Payload claims) {
    String typ = header.getType() == null ? "jwt" : header.getType().toLowerCase(Locale.ROOT).replaceFirst("^application/", "");
    if (typ.equals("at+jwt")) {
      return claims.get("token_use") == null && claims.get("client_id") != null;
    }
    return typ.equals("jwt") && "access".equals(claims.get("token_use"));
  }

  static void checkClaims(JsonWebSignature.Payload claims) throws Refused {
    if (!ISSUER.equals(claims.getIssuer())) {
      throw new Refused("issuer");
    }
    Object audience = claims.getAudience();
    if (!AUDIENCE.equals(audience) && !List.of(AUDIENCE).equals(audience)) {
      throw new Refused("audience");
    }
    long now = System.currentTimeMillis() / 1000;
    Long expires = claims.getExpirationTimeSeconds();
    Long issued = claims.getIssuedAtTimeSeconds();
    Long notBefore = claims.getNotBeforeTimeSeconds();
    if (expires == null || issued == null || claims.getSubject() == null) { // without exp it could never be got rid of
      throw new Refused("a claim is missing");
    }
    if (now >= expires) {
      throw new Refused("expired");
    }
    if (issued > now + SKEW.toSeconds() || notBefore != null && notBefore > now + SKEW.toSeconds()) {
      throw new Refused("not valid yet");
    }
  }

  public static void main(String[] args) throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null; ) {
      try {
        System.out.println("ok " + verify(line).getSubject());
      } catch (Refused e) {
        System.out.println("refused " + e.getMessage());
      }
    }
  }
}
