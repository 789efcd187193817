// A certificate for one run: the host takes it from the handshake line and
// trusts nothing else.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';

const DAY = 86_400_000;

/** {certificate, key} in PEM, and the certificate's DER. */
export function newCertificate() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' });
  const signer = forge.pki.privateKeyFromPem(key);

  const c = forge.pki.createCertificate();
  c.publicKey = forge.pki.setRsaPublicKey(signer.n, signer.e);
  c.serialNumber = `00${randomBytes(16).toString('hex')}`;
  c.validity.notBefore = new Date(Date.now() - DAY);
  c.validity.notAfter = new Date(Date.now() + 365 * DAY);
  const name = [{ name: 'commonName', value: 'localhost' }];
  c.setSubject(name);
  c.setIssuer(name);
  c.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, keyCertSign: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
  ]);
  c.sign(signer, forge.md.sha256.create());
  const der = Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(c)).getBytes(), 'binary');
  return { certificate: forge.pki.certificateToPem(c), key, der };
}
