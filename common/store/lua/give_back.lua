-- What waited for its turn does not want it any more: those behind move up. After rate_state.lua.
-- KEYS: places
-- ARGV: prefix of rate, who waited, who waited, ...
-- Result: how many had a place
local given = 0
for i = 2, #ARGV do
  given = given + give_back(KEYS[1], ARGV[1], ARGV[i])
end
return given
