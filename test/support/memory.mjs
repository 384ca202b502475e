// Does a thing twice and says by how much the memory grew for the second:
// node memory.mjs keep <store> <small URL> <large URL>, or upload <API> <small file> <large file>
import path from 'node:path';
import { createRivyaClient, staticKey } from '../../dist/src/api/index.js';
import { openStore, openReferenceSources, openResults } from '../../dist/src/storage/index.js';

const [what, place, small, large] = process.argv.slice(2);

function keeping() {
  const store = openStore(place, { endpoint: process.env.RIVYA_S3_ENDPOINT, pathStyle: true });
  const results = openResults(store, { trustedHosts: new Set([new URL(small).host]), env: {} });
  return (url, taskId) => {
    const input = { taskId, urls: [url], workflowId: taskId, about: { body: '{}' } };
    return results.keep({ input, n: 1, namespace: 'default' });
  };
}

function uploading() {
  const api = createRivyaClient({ baseUrl: place, keys: staticKey('rvya_sk_memory') });
  const roots = [path.dirname(small)];
  const sources = openReferenceSources({ roots, store: null, trustedHosts: new Set() });
  const { signal } = new AbortController();
  return async (name) => {
    const file = await sources.read({ path: name }, { maxBytes: Infinity, refuse: () => null, signal });
    const { bytes, sha256, fileName } = file;
    const part = { fileName, mimeType: 'video/mp4', bytes, body: file.stream() };
    await api.uploadFile({ ...part, kind: 'video', model: 'happyhorse-1-0', signal });
    return { bytes, sha256 };
  };
}

const work = { keep: keeping, upload: uploading }[what]();
// The first one loads what is loaded once, and lets the heap grow to the size that any file needs.
await work(small, 'small');
const before = process.memoryUsage.rss();
let most = before;
const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
const file = await work(large, 'large');
clearInterval(timer);
process.stdout.write(JSON.stringify({ file, grown: most - before }), () => process.exit());
