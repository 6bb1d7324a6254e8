"""The 2,048 words of the rule `words:N`: 11 bits each.

Written for keystead. No two differ in one letter only, and the first four letters tell each from all others, so that a
word that was misheard or cut short can still be told.
"""

from __future__ import annotations

_WORDS = """\
abacus ability absence absolute abundant acacia academy accent accord achieve acquire action actor actual acute
adaptive add address adept adequate adjust admit adorn advance advent advice affair afloat agave agent agile agree
aim aircraft airport airship airy ajar alarm album alcove alert algae algebra alike alliance alloy almond aloe
alpaca alphabet alpine altitude amaze amber amend amethyst amount amulet amuse analyst anchor ancient anecdote angle
animal announce annual answer antenna anthem anvil apex apology appeal apple appoint approval april apron aqua arbor
archive arctic ardent area argument armchair aroma array arrive art artful artist ascend ash asleep aspen asset
assign assume aster astute athlete atlas atoll atom attach attend attic attract audience august aunt aura aurora
author autumn average aviator avocado awake award awning axle azalea azimuth azure backpack badger baker balance
balcony ballot balmy balsam bamboo bandage banner banquet baobab barber barge barn barrel base basil basket bat
baton battery bayou bazaar beacon beagle bean beauty become beech beet begin begonia behalf beige belief bell belong
bend benefit berry bestow bevel bicycle bin binary binder birch bird birthday biscuit bison bistro black blanket
blaze bless blink blizzard bloom blossom blouse blue bluff board bobbin bobcat bolt bonfire bonus bookend border
borough borrow botany bottle boulder bouncy bouquet boutique bow bowling boxing bracket braid brake bramble branch
bravery bread breeze brick brief bright bring brioche broaden broccoli broker bronze brook broth brown bubbly bucket
bud buddy budget buffalo build bulb bumble bungalow bunk bunny buoy bureau burgundy bush business butter byte
cabbage cabin cable caboose cache cactus cake calendar calf calico camel campus canal candy canoe canteen canvas
canyon cap capable capital capsule captain caramel card career cargo caribou carnival carpet carrot carton cascade
cashew castle casual catalog caterer catfish cause cautious cavern cedar celery cellar census century ceramic cereal
chain chalk chamber chance chapter chart chasm chateau checkers cheddar cheer chef chemist cherry chess chicken
chiffon chilly chimney chipmunk chisel chive choose chop chorus chosen chowder chutney cider cinema cinnamon cipher
circle citadel citrus city civil claim clamp clarify class clay clean clerk click cliff climb clinic clip cloak
closet cloth cloud clove cluster clutch coach coaster coat cobalt cobbler cocoa code coffee collie colorful column
comb comet comfort comic comma compass comrade concept condor confirm conifer connect console contest convey cook
copper copy coral cordial corn correct costume cotton count coupon course cousin cover coyote crab cradle crane
crater crayon cream credit creek crepe crest cricket crimson crisp critic crocus croquet cross crow crumb crystal
cub cubic cuckoo cucumber culinary culture cumin cupboard cupcake cupola curator curious curry cursor curtain curve
cushion custom cutlery cyan cycle cymbal cypress daffodil dahlia dainty daisy dancer daring darts data day daybreak
daylight dazzle deadline debate decade decent decimal declare decoder deer define degree delegate delight delta
deluxe demand denim density dentist depart depend depot depth derive describe design desk dessert detail detect
develop device devoted dialect diamond diary digit dignity dill dingo dinner diploma direct discuss display distant
divide doctor dog doily dolphin domain domino donate donut door double dough dove downtown dozen dragon drama drapes
draw dreamy dresser drift drizzle drum dryer dual duck dumpling dune durable dust duty dwell dynasty eager early
earnest earring earth easel eastern easy ebony echo ecology economy edit educate eel effect effort egret elastic
elated electric elegant element elephant elevate elite elixir elk email embark emblem embrace emerge eminent emotion
empathy employ emu enable enchant encoder endive endless endorse energy engine enhance enigma enlarge enough enrich
enroll ensemble ensure enter entire envelope envoy epic epilogue episode epoch equal equinox era eraser escort essay
essence estate estimate estuary eternal ethics etude evaluate event evident evolve exact example excel exchange
exercise exhibit exist expand expert explain express extent extra fabric fabulous facade fact fair faith falcon fall
family famous fancy fantasy farm fashion fasten faucet favor fawn feature february fedora feedback feeling fence
fennel ferment ferret festive fetch fiber fiction fiddler field fig figure file filter finale finch finding finesse
finish first fish fixed fjord flag flame flannel flask fleck fleece flexible flicker flint flood flora flotilla
flower fluent fluffy fluid flute fly flying foal focus folder foliage folklore fondue font football forest fork
formal fortune forum forward fossil foster founder fox foxglove fraction fragrant frank freesia freight fresh friday
friend frigate frog frolic frost frozen frugal fruit fuchsia fudge fulfill function furnace fuse future fuzzy gadget
galaxy gallop gambit garage garden garlic garment gate gather gauge gazebo gear gecko gelato gem general genius
genre genuine geranium gerbil gesture geyser giant gibbon gift giggle ginger giraffe give giving glacier glade
glance glasses gleam glen glider glimpse glisten glitter globe glory glossy goblet godson gold gondola gong goodness
gopher gorge gown graceful gradual grain grammar grand grape grass gravy great green grid grill grocer grotto group
grove growth guard guava guest guide guitar gulch gulf gumdrop guppy gymnast habit hairpin hallway hammer hamster
handbag happy hardy harmony harness harp harvest hatch hatter hawk hawthorn hazel headband heart heather heavy
hedgehog height heliport helm helper hen herald herb heritage heron herring hibiscus hickory hidden hideaway high
hike hillside hinge hippo history hockey holiday holly holster home honey honor hood horizon horse hospital host
hound hour hue hull hummus humor hurdle husky hyacinth hybrid ibis iceberg icicle icing icon idea identity idiom
igloo iguana image immense impala improve impulse inbox include income increase index indigo industry infer inform
inherit initial inkwell inlet inn innate input inquiry insect insight inspire install intact intend intro invent
invite involve island isle issue isthmus item iterate ivory ivy jade jaguar jam january jargon jasmine javelin jazz
jeep jelly jersey jetty jewel jigsaw join joke journal jovial joyful joyous jubilee judo jug juice july jumbo jump
jungle junior justice kale kangaroo karate kayak keen keeper kelp kernel ketchup keyboard keypad keystone khaki
kimono kindness king kiosk kitchen kite kitten kiwi knapsack knead knight knob koala label lacrosse ladder ladle
lagoon lamb land language lantern lapis laptop larch lark lasagna lasso lasting lathe laugh laurel lava lavender
lavish law lawyer layout leader leaf league learn lecturer ledger legal legend leisure lemon lemur length lens
lentil leopard lesson letter lever library lichen licorice lid light likely lilac lily lime limit linden linear
linguist lion liquid list literal little lizard llama lobby lobster local locker lodge loft logic logo lookout lotus
lounge lovely loyalty lucid lucky lunar lunch luxury lynx lyric macaw machine maestro magazine magenta magic magnet
magpie mahogany mailbox main maize majority mallow manatee mandolin mango manifest manor mansion mantis manual many
maple marathon marble marine marker marlin marmot marsh mask massive matchbox matrix mattress mauve maximum meadow
meal meaning measure mechanic medium meerkat meeting melon member memo mentor menu merit mesa message meteor method
metric midday midnight midtown mighty migrate milk miller mindful minimum minnow mint minute miracle mirror mission
mix mixer mixture mobile mocha model modify module molasses moment monday mongoose monitor monorail monsoon monthly
monument moon moose mop moped morning mortar mosaic moss moth motive motor motto mountain movement movie muesli
muffin multiple mural museum mushroom music mutual myrtle mystery name napkin narrate narwhal nation nature nautical
navigate navy nearby nebula necklace nectar needle neighbor net nettle network neutral news nib nickel nifty nimble
noble nod noise nominal noodle noontime north notable notepad notice nougat noun nourish novel nozzle number nurse
nurture nutmeg nutshell oak oasis oatmeal object oboe observe obtain obvious occasion occur ocean ocelot ochre
octave octopus offer officer offline olive olympics omelet onion online opal opening opera opinion option orange
orator orbit orca orchid orderly ordinary oregano organic origin oriole ornament osprey ostrich otter outback
outcome outdoors outline output oven overcoat owl oxygen pace package pad paddle padlock pail paint pajamas palace
palette palm pamphlet pancake panda panel panorama panther papaya paper paprika papyrus parade parcel parent parfait
parity parka parlor parser partner pass pasta path patio patron pattern pavement pavilion payment pea peach peanut
pearl pebble pecan pedestal pelican pencil pendant penguin peony pepper percent perfume period person pesto petal
petunia pharmacy phase pheasant phone photo physical piano pickle picnic pie pigeon pillar pilot pinecone pink
pinnacle pinwheel pioneer pita pitch pixel pizza placard plain plant plateau player plaza please plenty plover plow
plugin plum plunge plural pocket podcast podium poet policy pollen polo polygon pond pool popcorn poplar poppy
popsicle porch porpoise porridge porter position possum potato pottery powder practice praise precise predict prefix
premium prepare press pretty prevail pride primary priority prism privacy problem process product profile program
project prompt proof prop prospect protocol proud provost prudent public pudding pulley pulse puma pumpkin pupil
puppet purchase purple pursuit puzzle pyramid quail quality quantity quarry queen question queue quick quiet quill
quiver quiz quota rabbit raccoon racing radar radio raft railing rainbow raisin ramp random rare ravine razor react
ready realize reboot rebuild recall recess recipe recline record recycle redeem redwood reed referee refined reflex
refresh refund regain region regular reindeer rejoice relax release relic rely remedy remind remote renew renovate
repair repeat replace report request rescue reserve reside resolve respect restore result retire retrieve return
reunion reveal review reward rhubarb rhythm rice ridge rinse ripple risotto river road roast robin robust rock roll
rooftop rooster root rose rotation route rowboat rowing royal ruby rudder ruler runner russet rustic rye saffron
sage sailor salad salmon salsa salt sample sandal sapling sapphire sardine satchel satin saturday saucer savanna
sawdust scaffold scale scanner scarf scenic schedule school science scissors scone scooter scout screen scribe
scroll sculptor seagull seahorse seaport search season seat second secret sector secure sedan sedge see seedling
segment select sense sentence sepia sequel serene series serve sesame session several sewing shade shallow shark
shawl sheep shelf shepherd sherbet shield shiny ship shirt shoelace shore shovel shower shrimp shrub shutter sidecar
sienna sieve sign silent silky silo silver similar simplify sincere sister sit sitcom size skater sketch skier skiff
skiing skill sky skyline slate sled sleet sleigh slide slogan sloop slope small smart smile smith smooth snack snail
snappy snooze snorkel snow snug soaring soccer social sofa softball soil solar solid soloist solution solve sonata
sonic sonnet sorbet soup source south spaniel sparrow spatula speak species speed spelling sphere spice spider spin
spirit splash splendid sponge spoon sport spotless spread spring sprout spruce squash squirrel stable stadium
stairway stalk stamp stand stapler star statue steady stellar stencil steppe stereo stew stingray stirrup stork
stove straw stream striped strong strudel studio sturdy style subject subtle suburb subway success sudden suffix
sugar suggest suite summer sun sunbeam sundae sunlight sunrise sunset supper supreme surf surname surplus surreal
survey sustain swan sweater swift swim switch sycamore symbol symmetry symphony synonym syntax syrup system tablet
taco tactic tadpole talent tangy tape tapioca target tassel taste taxi teacup teammate teapot teaspoon telegram
tempo tenant tennis tension tent terminal tern terrier textile thanks thaw theater theory thermos thesis thimble
thistle thorough thought thread thrive throw thunder thursday thyme tidal tidepool tidy tiger timber timely tinker
tinsel tire title toboggan today tofu token tomato tone toolbox topaz topsoil tornado torque tortilla total touch
tourist towel toy track trade traffic trail tram transit traveler treasure tree trellis trend triangle tribute
tricycle trilogy trinket trio tripod triumph trolley trombone tropic trout truffle trumpet trunk trust truth tuesday
tugboat tulip tuna tundra tunic tunnel turbine turkey turmeric turnip turret turtle tutor tuxedo tweezers twig
twilight twine twirl twist typical ukulele ultimate umbrella umpire uncle unfold unicorn unify unique unison unit
universe unlock unpack unusual unveil unwind upbeat update upgrade uphold upload uptown urban urge useful username
usual utensil vacation vacuum valid valley valuable valve van vanilla variety vary vast vault vehicle velocity
velvet vendor venture venue veranda verbal verdict verify verse vertex vessel veteran viaduct vibrant vicinity
victory video view villager vine vintage viola virtue visit visor vista visual vital vivid voice volcano volume
voter voyage waffle wagon wait walk wallaby walnut walrus waltz warbler wardrobe washer water wave wayside wealth
weaver webpage website wedding week welcome wellness west wetland whale wharf wheat wheel whirl whisper white wicker
wide widget width willow wind winged winning winter wireless wisdom wishbone wisteria witness witty wok wolf wombat
wonder wooden woolly worker world wrap wreath wren writer yacht yardage yarrow yeast yellow yew yoga yogurt young
yuletide zealous zebra zenith zesty zigzag zinnia zipper zither zoology zoom zucchini
"""


def words() -> tuple[str, ...]:
    """All words, sorted; split at the call, so that importing costs nothing and nothing is held."""
    return tuple(_WORDS.split())
