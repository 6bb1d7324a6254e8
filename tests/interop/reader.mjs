// A reader and writer of keystead's formats for Node, from docs/formats.md alone. It uses node:crypto and nothing else.
//
// Run as a program it takes one JSON job a line and answers each with one JSON line:
//   {"do": "openEnvelope", "data_key": HEX, "text": JSON, "aad": HEX or null}  ->  {"ok": HEX}
// A refusal is {"error": NAME, "field": NAME or null}.

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  hkdfSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { createInterface } from "node:readline";

export class EnvelopeError extends Error {
  constructor(field) {
    super(`not a valid ciphertext: ${field}`);
    this.name = "EnvelopeError";
    this.field = field;
  }
}

export class DecryptionError extends Error {
  constructor() {
    super("cannot decrypt");
    this.name = "DecryptionError";
  }
}

const TAG = 16;
const V2_HEADER = 72;
const STREAM_HEADER = 80;
const MIN_CHUNK = 1024;
const MAX_CHUNK = 4 * 1024 * 1024;

function derive(dataKey, salt, form, purpose, length, algorithm = "aes-256-gcm") {
  return Buffer.from(hkdfSync("sha256", dataKey, salt, `keystead/${form}/${algorithm}/${purpose}`, length));
}

function seal(key, nonce, plaintext, aad, name = "aes-256-gcm") {
  const cipher = createCipheriv(name, key, nonce, { authTagLength: TAG });
  cipher.setAAD(aad);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function open(key, nonce, sealed, aad, name = "aes-256-gcm") {
  if (sealed.length < TAG) throw new DecryptionError();
  const decipher = createDecipheriv(name, key, nonce, { authTagLength: TAG });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG)), decipher.final()]);
  } catch {
    throw new DecryptionError();
  }
}

function same(left, right) {
  return left.length === right.length && timingSafeEqual(left, right);
}

// AAD

function field(value) {
  if (value === null) return Buffer.from("ffffffff", "hex");
  const data = Buffer.from(String(value), "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}

export function canonicalAad(mapping) {
  const names = Object.keys(mapping).sort((a, b) => Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8")));
  return Buffer.concat(names.flatMap((name) => [field(name), field(mapping[name])]));
}

export function bind(kind, fields) {
  return Buffer.concat([Buffer.from([1]), field(kind), ...fields.map(field)]);
}

// Envelope v1

const FIELDS = ["v", "alg", "keyId", "iv", "tag", "ciphertext", "aad", "timestamp"];
const MEMBER = /[ \t\r\n]*("(?:[^"\\\u0000-\u001f]|\\.)*")[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\\u0000-\u001f]|\\.)*"|-?[\d.eE+-]+|true|false|null)[ \t\r\n]*/y;

// JSON.parse takes a name twice and cannot tell 1.0 from 1, so the flat object is read by hand.
function members(text) {
  const outer = /^[ \t\r\n]*\{([^]*)\}[ \t\r\n]*$/.exec(text);
  if (!outer) throw new EnvelopeError("envelope");
  const found = new Map();
  const inner = outer[1];
  for (let at = 0; ; at += 1) {
    MEMBER.lastIndex = at;
    const match = MEMBER.exec(inner);
    if (!match) throw new EnvelopeError("envelope");
    const name = JSON.parse(match[1]);
    if (found.has(name)) throw new EnvelopeError(FIELDS.includes(name) ? name : "envelope");
    const isOddNumber = /^[-\d.]/.test(match[2]) && !/^(0|-?[1-9]\d*)$/.test(match[2]);
    found.set(name, isOddNumber ? undefined : JSON.parse(match[2]));
    at = MEMBER.lastIndex;
    if (at === inner.length) return found;
    if (inner[at] !== ",") throw new EnvelopeError("envelope");
  }
}

function base64(name, value) {
  if (typeof value !== "string") throw new EnvelopeError(name);
  const data = Buffer.from(value, "base64");
  if (data.toString("base64") !== value) throw new EnvelopeError(name);
  return data;
}

export function openEnvelope(dataKey, text, aad) {
  const given = members(text);
  for (const name of FIELDS) if (name !== "aad" && !given.has(name)) throw new EnvelopeError(name);
  for (const name of given.keys()) if (!FIELDS.includes(name)) throw new EnvelopeError("envelope");
  if (given.get("v") !== 1) throw new EnvelopeError("v");
  if (given.get("alg") !== "aes-256-gcm") throw new EnvelopeError("alg");
  const keyId = given.get("keyId");
  if (typeof keyId !== "string" || !/^[ -~]{1,128}$/.test(keyId)) throw new EnvelopeError("keyId");
  const timestamp = given.get("timestamp");
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) throw new EnvelopeError("timestamp");
  const iv = base64("iv", given.get("iv"));
  if (iv.length !== 12) throw new EnvelopeError("iv");
  const tag = base64("tag", given.get("tag"));
  if (tag.length !== TAG) throw new EnvelopeError("tag");
  const ciphertext = base64("ciphertext", given.get("ciphertext"));
  const hasAad = given.has("aad") && given.get("aad") !== null;
  const ownAad = hasAad ? base64("aad", given.get("aad")) : Buffer.alloc(0);
  const key = derive(dataKey, Buffer.alloc(0), "v1", "caller", 32);
  const plaintext = open(key, iv, Buffer.concat([ciphertext, tag]), ownAad);
  if (aad !== null && !same(aad, ownAad)) throw new DecryptionError();
  return plaintext;
}

export function sealEnvelope(dataKey, keyId, plaintext, aad, timestamp) {
  const iv = randomBytes(12);
  const sealed = seal(derive(dataKey, Buffer.alloc(0), "v1", "caller", 32), iv, plaintext, aad);
  return JSON.stringify({
    v: 1,
    alg: "aes-256-gcm",
    keyId,
    iv: iv.toString("base64"),
    tag: sealed.subarray(sealed.length - TAG).toString("base64"),
    ciphertext: sealed.subarray(0, sealed.length - TAG).toString("base64"),
    aad: aad.toString("base64"),
    timestamp,
  });
}

// Compact ciphertext v2

export function fromText(text) {
  const blob = Buffer.from(text.slice(4), "base64url");
  if (!text.startsWith("ks2_") || "ks2_" + blob.toString("base64url") !== text) throw new EnvelopeError("text");
  return blob;
}

export function toText(blob) {
  return "ks2_" + blob.toString("base64url");
}

// Algorithm bytes of each key type, with the word in the label and Node's name of the cipher.
const ALGORITHMS = {
  "aes-256-gcm": { 1: ["aes-256-gcm", "aes-256-gcm"] },
  "aes-256-gcm-siv": { 2: ["aes-256-gcm-siv", "aes-256-gcm-siv"], 4: ["aes-256-gcm-siv-deterministic", "aes-256-gcm-siv"] },
  "chacha20-poly1305": { 3: ["chacha20-poly1305", "chacha20-poly1305"] },
};

function checkStart(blob, version, keyType = "aes-256-gcm") {
  if (blob.toString("latin1", 0, 2) !== "ks") throw new EnvelopeError("magic");
  if (blob[2] !== version) throw new EnvelopeError("version");
  if (!(blob[3] in ALGORITHMS[keyType])) throw new EnvelopeError("algorithm");
}

export function openCompact(dataKey, purpose, blob, aad, keyType = "aes-256-gcm") {
  checkStart(blob, 2, keyType);
  if (blob.length < V2_HEADER + TAG) throw new EnvelopeError("ciphertext");
  const [word, cipher] = ALGORITHMS[keyType][blob[3]];
  const both = derive(dataKey, blob.subarray(12, 28), "v2", purpose, 64, word);
  if (!same(both.subarray(32), blob.subarray(28, 60))) throw new DecryptionError();
  const bound = Buffer.concat([blob.subarray(0, V2_HEADER), aad]);
  return open(both.subarray(0, 32), blob.subarray(60, V2_HEADER), blob.subarray(V2_HEADER), bound, cipher);
}

export function sealCompact(dataKey, purpose, reference, plaintext, aad, keyType = "aes-256-gcm") {
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const [[byte, [word, cipher]]] = Object.entries(ALGORITHMS[keyType]);
  const both = derive(dataKey, salt, "v2", purpose, 64, word);
  const start = Buffer.from([0x6b, 0x73, 2, Number(byte)]);
  const header = Buffer.concat([start, reference, salt, both.subarray(32), nonce]);
  return Buffer.concat([header, seal(both.subarray(0, 32), nonce, plaintext, Buffer.concat([header, aad]), cipher)]);
}

// Streams

function chunkNonce(number, last) {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(number), 3);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

function chunkAad(header, aad) {
  return createHash("sha256").update(header).update(aad).digest();
}

export function openStream(dataKey, purpose, whole, aad) {
  if (whole.length < STREAM_HEADER) throw new EnvelopeError("header");
  const header = whole.subarray(0, STREAM_HEADER);
  checkStart(header, 0x81);
  const size = header.readUInt32BE(76);
  if (size < MIN_CHUNK || size > MAX_CHUNK) throw new EnvelopeError("chunk size");
  const both = derive(dataKey, header.subarray(12, 44), "stream", purpose, 64);
  if (!same(both.subarray(32), header.subarray(44, 76))) throw new DecryptionError();
  const bound = chunkAad(header, aad);
  const pieces = [];
  for (let at = STREAM_HEADER, number = 0; ; number += 1) {
    const end = Math.min(at + size + TAG, whole.length);
    const last = end === whole.length;
    if (number > 0 && end - at <= TAG) throw new DecryptionError();
    pieces.push(open(both.subarray(0, 32), chunkNonce(number, last), whole.subarray(at, end), bound));
    if (last) return Buffer.concat(pieces);
    at = end;
  }
}

export function sealStream(dataKey, purpose, reference, plaintext, aad, size) {
  const salt = randomBytes(32);
  const both = derive(dataKey, salt, "stream", purpose, 64);
  const chunkSize = Buffer.alloc(4);
  chunkSize.writeUInt32BE(size);
  const header = Buffer.concat([Buffer.from("ks\u0081\u0001", "latin1"), reference, salt, both.subarray(32), chunkSize]);
  const bound = chunkAad(header, aad);
  const count = Math.max(1, Math.ceil(plaintext.length / size));
  const chunks = [header];
  for (let number = 0; number < count; number += 1) {
    const piece = plaintext.subarray(number * size, (number + 1) * size);
    chunks.push(seal(both.subarray(0, 32), chunkNonce(number, number === count - 1), piece, bound));
  }
  return Buffer.concat(chunks);
}

// Wrapped keys

export function unwrapKey(wrappingKey, wrapped, aad) {
  if (wrapped.length !== 61 || wrapped[0] !== 1) throw new DecryptionError();
  return open(wrappingKey, wrapped.subarray(1, 13), wrapped.subarray(13), aad);
}

// Wrapped imports

const WRAP = "id-aes256-wrap-pad";
const WRAP_IV = Buffer.from("a65959a6", "hex");
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };

export function unwrapImport(pkcs8, blob) {
  if (blob.length < 512 + 16) throw new DecryptionError();
  try {
    const key = privateDecrypt({ key: pkcs8, format: "der", type: "pkcs8", ...OAEP }, blob.subarray(0, 512));
    const decipher = createDecipheriv(WRAP, key, WRAP_IV);
    return Buffer.concat([decipher.update(blob.subarray(512)), decipher.final()]);
  } catch {
    throw new DecryptionError();
  }
}

export function wrapForImport(spki, material) {
  const key = randomBytes(32);
  const cipher = createCipheriv(WRAP, key, WRAP_IV);
  const encrypted = publicEncrypt({ key: spki, format: "der", type: "spki", ...OAEP }, key);
  return Buffer.concat([encrypted, cipher.update(material), cipher.final()]);
}

// Jobs

const hex = (text) => (text === null ? null : Buffer.from(text, "hex"));
const JOBS = {
  openEnvelope: (job) => openEnvelope(hex(job.data_key), job.text, hex(job.aad)).toString("hex"),
  sealEnvelope: (job) => sealEnvelope(hex(job.data_key), job.key_id, hex(job.plaintext), hex(job.aad), job.timestamp),
  openCompact: (job) =>
    openCompact(hex(job.data_key), job.purpose, job.text ? fromText(job.text) : hex(job.blob), hex(job.aad), job.key_type).toString(
      "hex",
    ),
  sealCompact: (job) =>
    toText(sealCompact(hex(job.data_key), job.purpose, hex(job.reference), hex(job.plaintext), hex(job.aad), job.key_type)),
  openStream: (job) => openStream(hex(job.data_key), job.purpose, hex(job.stream), hex(job.aad)).toString("hex"),
  sealStream: (job) =>
    sealStream(
      hex(job.data_key), job.purpose, hex(job.reference), hex(job.plaintext), hex(job.aad), job.chunk_size,
    ).toString("hex"),
  canonicalAad: (job) => canonicalAad(job.mapping).toString("hex"),
  bind: (job) => bind(job.kind, job.fields).toString("hex"),
  unwrapImport: (job) => unwrapImport(hex(job.private), hex(job.blob)).toString("hex"),
  wrapForImport: (job) => wrapForImport(hex(job.public), hex(job.material)).toString("hex"),
  unwrapKey: (job) => unwrapKey(hex(job.wrapping_key), hex(job.wrapped), hex(job.aad)).toString("hex"),
};

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: JOBS[job.do](job) }));
  } catch (error) {
    if (!(error instanceof EnvelopeError || error instanceof DecryptionError)) throw error;
    console.log(JSON.stringify({ error: error.name, field: error.field ?? null }));
  }
}
