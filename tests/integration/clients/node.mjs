// SPDX-License-Identifier: ISC
// The ordinary use of the npm clients, on two ports at once; run by
// test_clients.py in a folder where they are installed: node.mjs WHICH PORT PORT
import assert from 'node:assert';

const [which, ...ports] = process.argv.slice(2);
const url = (i) => `redis://127.0.0.1:${ports[i]}`;

async function ioredis() {
	const { default: Redis } = await import('ioredis');
	const a = new Redis(+ports[0]), b = new Redis(+ports[1]);
	assert.equal(await a.set('io', '1', 'EX', 100), 'OK');
	assert.equal(await b.get('io'), '1');
	assert.equal(await a.hset('iohash', { f: 1, g: 2 }), 2);
	assert.deepEqual({ ...await b.hgetall('iohash') }, { f: '1', g: '2' });
	const p = a.pipeline();
	for (let i = 0; i < 500; i++) p.incr('iocount');
	assert.equal((await p.exec()).at(-1)[1], 500);
	assert.equal(await b.get('iocount'), '500');
	assert.deepEqual((await a.multi().set('iotx', 1).incr('iotx').exec())
		.map((x) => x[1]), ['OK', 2]);
	await a.watch('iotx');
	await b.set('iotx', 9);
	assert.equal(await a.multi().set('iotx', 10).exec(), null);
	assert.equal(await a.get('iotx'), '9');
	assert.deepEqual(await a.call('HPEXPIRE', 'iohash', 60000, 'FIELDS', 1, 'f'), [1]);
	assert((await b.call('HPTTL', 'iohash', 'FIELDS', 1, 'f'))[0] > 50000);
	await a.rename('iohash', 'iohash2');
	assert.equal(await b.hget('iohash2', 'g'), '2');
	const big = Buffer.alloc(1 << 20, 7);
	await a.set('iobig', big);
	assert((await b.getBuffer('iobig')).equals(big));
	const found = [];
	for await (const keys of b.scanStream({ match: 'io*' })) found.push(...keys);
	assert(found.includes('iohash2') && found.includes('iobig'));
	const got = new Promise((r) => b.once('message', (_, m) => r(m)));
	const event = new Promise((r) => b.once('pmessage', (_, c, m) => r([c, m])));
	await a.config('SET', 'notify-keyspace-events', 'KEA');
	await b.subscribe('ionews');
	await b.psubscribe('__keyspace@0__:ioev');
	await a.publish('ionews', 'hello');
	assert.equal(await got, 'hello');
	await a.set('ioev', 1);
	assert.deepEqual(await event, ['__keyspace@0__:ioev', 'set']);
	await a.quit(); b.disconnect();
}

async function redis() {
	const { createClient } = await import('redis');
	for (const RESP of [2, 3]) {
		const a = createClient({ url: url(0), RESP });
		const b = createClient({ url: url(1), RESP });
		await a.connect(); await b.connect();
		assert.equal(await a.set('nr', '1', { EX: 100 }), 'OK');
		assert.equal(await b.get('nr'), '1');
		await a.hSet('nrhash', { f: '1', g: '2' });
		assert.deepEqual({ ...await b.hGetAll('nrhash') }, { f: '1', g: '2' });
		assert.equal(await a.hIncrBy('nrhash', 'f', 1), 2);
		assert.equal((await Promise.all(Array.from({ length: 500 },
			() => a.incr('nrcount')))).length, 500);
		assert.equal(await b.get('nrcount'), '500');
		assert.deepEqual(await a.multi().set('nrtx', '1').incr('nrtx')
			.exec(), ['OK', 2]);
		assert.equal(await b.get('nrtx'), '2');
		await a.watch('nrtx');
		await b.set('nrtx', '9');
		await assert.rejects(a.multi().set('nrtx', '10').exec());
		assert.deepEqual(await a.hpExpire('nrhash', 'g', 60000), [1]);
		assert((await b.hpTTL('nrhash', 'g'))[0] > 50000);
		const keys = [];
		for await (const k of b.scanIterator({ MATCH: 'nr*' })) keys.push(k);
		assert(keys.flat().includes('nrhash'));
		const s = b.duplicate();
		await s.connect();
		const got = new Promise((r) => s.subscribe('nrnews', r)
			.then(() => a.publish('nrnews', 'hello')));
		assert.equal(await got, 'hello');
		s.destroy();
		await a.del(['nr', 'nrhash', 'nrcount']);
		await a.close(); await b.close();
	}
}

async function keyv() {
	const { default: Keyv } = await import('keyv');
	const { default: KeyvRedis } = await import('@keyv/redis');
	const a = new Keyv({ store: new KeyvRedis(url(0)), namespace: 'ns' });
	const b = new Keyv({ store: new KeyvRedis(url(1)), namespace: 'ns' });
	assert.equal(await a.set('k', { x: 1 }, 60000), true);
	assert.deepEqual(await b.get('k'), { x: 1 });
	assert.equal(await b.has('k'), true);
	assert.equal(await a.delete('k'), true);
	assert.equal(await b.get('k'), undefined);
	await a.set('brief', 1, 50);
	while (await b.has('brief'));
	await a.set('k1', 1); await a.set('k2', 2);
	assert.deepEqual(await b.get(['k1', 'k2']), [1, 2]);
	const names = [];
	for await (const [name] of b.iterator()) names.push(name);
	assert.deepEqual(names.sort(), ['k1', 'k2']);
	await a.clear();
	assert.equal(await b.get('k1'), undefined);
	await a.disconnect(); await b.disconnect();
}

async function connectRedis() {
	const { createClient } = await import('redis');
	const { RedisStore } = await import('connect-redis');
	const a = createClient({ url: url(0) }), b = createClient({ url: url(1) });
	await a.connect(); await b.connect();
	const one = new RedisStore({ client: a }), two = new RedisStore({ client: b });
	const session = { cookie: { maxAge: 60000 }, name: 'x' };
	await one.set('id', session);
	assert.equal((await two.get('id')).name, 'x');
	await two.touch('id', session);
	assert.equal(await two.length(), 1);
	assert.deepEqual(await two.ids(), ['id']);
	assert.equal((await one.all())[0].name, 'x');
	await one.destroy('id');
	assert(!await two.get('id'));
	await one.set('id2', session);
	await one.clear();
	assert.equal(await two.length(), 0);
	await a.close(); await b.close();
}

await { ioredis, redis, keyv, connectRedis }[which]();
console.log('fine');
process.exit(0);
