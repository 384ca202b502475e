// Stores two results and says by how much its memory grew for the second: node keep-result.mjs <directory> <small> <large>
import { FileStore, Results } from '../../dist/src/storage/index.js';

const [directory, small, large] = process.argv.slice(2);
const trustedHosts = new Set([new URL(small).host]);
const results = new Results(new FileStore(`file:${directory}`), { trustedHosts, env: {} });
const keep = (url, taskId) => {
  const input = { taskId, urls: [url], workflowId: taskId, step: null, take: 1 };
  return results.keep({ input, n: 1, namespace: 'default' });
};
// The first one loads what is loaded once, and lets the heap grow to the size that any result needs.
await keep(small, 'small');
const before = process.memoryUsage.rss();
let most = before;
const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
const file = await keep(large, 'large');
clearInterval(timer);
await results.close();
process.stdout.write(JSON.stringify({ file, grown: most - before }));
